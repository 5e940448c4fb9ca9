"""The function behind the queue: a real queue (moto's), and Lambda's part played by the tests."""

from typing import Any

import pytest

from fieldgate.db.engine import Database
from tests import photos
from tests.support.gateway import LambdaContext
from tests.support.log import Log
from tests.support.media import Darkroom, s3_notification, setup_notification
from tests.support.sqs import DEAD_LETTERS, MAX_RECEIVES, LocalSqs
from uploads import on_media_uploaded


def deliver(sqs: LocalSqs) -> tuple[dict[str, Any], dict[str, Any]]:
    """Wake the function with what is visible, and settle as Lambda does."""
    event = sqs.receive()
    assert event["Records"], "nothing to deliver"
    answer = on_media_uploaded.handler(event, LambdaContext())
    sqs.settle(event, answer)
    return event, answer


@pytest.fixture(autouse=True)
def _deployed(deployed: Database) -> None:
    """Every test here wakes the function itself."""


def test_an_uploaded_photo_becomes_ready_and_its_message_is_gone(
    darkroom: Darkroom, sqs: LocalSqs
) -> None:
    media = darkroom.upload()
    sqs.send(s3_notification(media.object_key))
    _, answer = deliver(sqs)
    assert answer == {"batchItemFailures": []}
    assert darkroom.row(media)["state"] == "ready"
    assert len(darkroom.variants()) == 2
    assert sqs.held() == 0


def test_an_encoded_key_finds_its_media(darkroom: Darkroom, sqs: LocalSqs) -> None:
    media = darkroom.upload()
    encoded = media.object_key.replace("/", "%2F").replace("-", "%2D").replace(".", "%2E")
    sqs.send(s3_notification(media.object_key).replace(media.object_key, encoded))
    deliver(sqs)
    assert darkroom.row(media)["state"] == "ready"


def test_one_message_may_tell_of_several_objects(darkroom: Darkroom, sqs: LocalSqs) -> None:
    first, second = darkroom.upload(), darkroom.upload()
    sqs.send(s3_notification(first.object_key, "stranger.jpg", second.object_key))
    deliver(sqs)
    assert [darkroom.row(media)["state"] for media in (first, second)] == ["ready", "ready"]


@pytest.mark.parametrize(
    "message",
    [
        setup_notification(),
        s3_notification("farmers/0198a5b6-0000-7000-8000-000000000001.jpg"),
        s3_notification("farmers/red flower.jpg"),
        s3_notification("farmers/leaf\0.jpg"),
        s3_notification(),
    ],
    ids=["test event", "unknown media", "foreign object", "NUL", "no records"],
)
def test_an_event_that_concerns_nothing_of_ours_is_done_with(
    darkroom: Darkroom, sqs: LocalSqs, message: str
) -> None:
    sqs.send(message)
    _, answer = deliver(sqs)
    assert answer == {"batchItemFailures": []}
    assert (sqs.held(), sqs.held(DEAD_LETTERS)) == (0, 0)
    assert darkroom.variants() == {}


def test_a_hostile_file_is_rejected_and_its_message_is_gone(
    darkroom: Darkroom, sqs: LocalSqs
) -> None:
    media = darkroom.upload(photos.small_jpeg()[:-2000])
    sqs.send(s3_notification(media.object_key))
    _, answer = deliver(sqs)
    assert answer == {"batchItemFailures": []}
    assert darkroom.row(media)["rejected_reason"] == "CORRUPT"


@pytest.mark.parametrize("poison", ["not JSON", "{}", '{"Records": [{}]}'])
def test_poison_is_a_dead_letter_after_its_few_receives_and_harms_no_other(
    darkroom: Darkroom, sqs: LocalSqs, poison: str
) -> None:
    media = darkroom.upload()
    sqs.send(poison)
    sqs.send(s3_notification(media.object_key))
    for _ in range(MAX_RECEIVES):
        deliver(sqs)
    assert sqs.receive()["Records"] == []
    assert [record["body"] for record in sqs.receive(DEAD_LETTERS)["Records"]] == [poison]
    assert darkroom.row(media)["state"] == "ready"
    assert sqs.held() == 0


def test_with_storage_down_the_message_is_kept_and_a_later_delivery_succeeds(
    darkroom: Darkroom, sqs: LocalSqs
) -> None:
    media = darkroom.upload()
    sqs.send(s3_notification(media.object_key))
    darkroom.s3.faults.set("s3", "down", 60)
    event, answer = deliver(sqs)
    assert answer == {"batchItemFailures": [{"itemIdentifier": event["Records"][0]["messageId"]}]}
    assert (sqs.held(), sqs.pauses()) == (1, [10])

    darkroom.s3.faults.set("s3", "down", 0)
    assert on_media_uploaded.handler(event, LambdaContext()) == {"batchItemFailures": []}
    assert darkroom.row(media)["state"] == "ready"


def test_with_the_database_down_the_message_is_kept(
    darkroom: Darkroom, deployed: Database, sqs: LocalSqs, environment: pytest.MonkeyPatch
) -> None:
    media = darkroom.upload()
    sqs.send(s3_notification(media.object_key))
    with environment.context() as patch:
        deployed.close()
        patch.setenv("DATABASE_URL", "postgresql://u:p@127.0.0.1:1/nothing")
        event, answer = deliver(sqs)
    assert len(answer["batchItemFailures"]) == 1
    assert on_media_uploaded.handler(event, LambdaContext()) == {"batchItemFailures": []}
    assert darkroom.row(media)["state"] == "ready"


def test_one_failing_photo_does_not_keep_the_others_of_its_batch(
    darkroom: Darkroom, sqs: LocalSqs
) -> None:
    first, second = darkroom.upload(), darkroom.upload()
    sqs.send(s3_notification(first.object_key))
    sqs.send("not JSON")
    sqs.send(s3_notification(second.object_key))
    event, answer = deliver(sqs)
    assert answer == {"batchItemFailures": [{"itemIdentifier": event["Records"][1]["messageId"]}]}
    assert [darkroom.row(media)["state"] for media in (first, second)] == ["ready", "ready"]


def test_what_is_logged_and_recorded_carries_the_messages_id(
    darkroom: Darkroom, sqs: LocalSqs, log: Log
) -> None:
    media = darkroom.upload()
    sqs.send(s3_notification(media.object_key))
    event, _ = deliver(sqs)
    message_id = event["Records"][0]["messageId"]
    assert [line["request_id"] for line in log.said("media ready")] == [message_id]
