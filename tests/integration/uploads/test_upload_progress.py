"""GET /uploads/{id}, its failures, and taking it up again: storage is asked how far it is."""

from typing import Any
from uuid import UUID

import pytest

from fieldgate.storage.s3 import S3Storage
from tests.support.database import count_statements
from tests.support.gateway import Answer
from tests.support.log import Log
from tests.support.s3 import LocalS3
from tests.support.sender import CHUNK, Sender, SentFile, some_bytes

CONTENT = some_bytes(4 * CHUNK + 1)


@pytest.fixture
def upload(sender: Sender) -> SentFile:
    """A file of five chunks, the last of one byte."""
    return sender.begin(CONTENT)


def refused(answer: Answer, status: int, code: str) -> list[str]:
    assert (answer.status, answer.error["code"]) == (status, code)
    return [detail["field"] for detail in answer.error["details"]]


def stage(staging: S3Storage, name: str, content: bytes, upload_id: UUID) -> None:
    """Put something where chunks are, past any signature."""
    key = f"staging/{upload_id}/{name}"
    staging.put(key, content, content_type="text/plain", cache_control="private")


# Looking


def test_the_answer_is_the_contracts(sender: Sender, upload: SentFile) -> None:
    sender.put_all(upload, [5, 2])
    answer = sender.get(upload.id)
    data = answer.data
    assert answer.status == 200
    assert data.pop("expiresAt").endswith("Z")
    assert data == {
        "uploadId": str(upload.id),
        "mediaId": str(upload.media_id),
        "state": "uploading",
        "size": len(CONTENT),
        "chunkSize": CHUNK,
        "chunkCount": 5,
        "received": [2, 5],
        "missing": [1, 3, 4],
        "consecutiveFailures": 0,
        "failureReason": None,
    }
    # The two routes show the same.
    assert set(sender.resume(upload.id).data) == set(sender.get(upload.id).data)


def test_nothing_is_received_before_anything_was_signed(sender: Sender, upload: SentFile) -> None:
    data = sender.get(upload.id).data
    assert (data["state"], data["received"], data["missing"]) == ("created", [], [1, 2, 3, 4, 5])


@pytest.mark.parametrize("state", ["assembling", "completed"])
def test_what_was_all_there_stays_received_while_chunks_go(
    sender: Sender, upload: SentFile, state: str
) -> None:
    sender.change(upload.id, state=state)
    data = sender.get(upload.id).data
    assert (data["received"], data["missing"]) == ([1, 2, 3, 4, 5], [])


@pytest.mark.parametrize("state", ["aborted", "expired"])
def test_of_what_is_over_nothing_is_received(sender: Sender, upload: SentFile, state: str) -> None:
    sender.put_all(upload)
    sender.change(upload.id, state=state)
    data = sender.get(upload.id).data
    assert (data["received"], data["missing"]) == ([], [1, 2, 3, 4, 5])


def test_only_whole_chunks_of_this_upload_count(
    sender: Sender, upload: SentFile, staging: S3Storage
) -> None:
    """Storage that doesn't check what was signed may hold anything."""
    other = sender.begin(CONTENT)
    sender.put_all(upload, [1])
    digest = "0" * 64
    stage(staging, f"00002-{digest}", b"short", upload.id)
    stage(staging, f"00003-{digest}", bytes(CHUNK + 1), upload.id)
    stage(staging, f"00005-{digest}", bytes(2), upload.id)
    stage(staging, f"00000-{digest}", bytes(CHUNK), upload.id)
    stage(staging, f"00006-{digest}", bytes(CHUNK), upload.id)
    stage(staging, f"4-{digest}", bytes(CHUNK), upload.id)
    stage(staging, f"00004-{digest}.tmp", bytes(CHUNK), upload.id)
    stage(staging, f"00004-{digest}", bytes(CHUNK), other.id)
    assert sender.get(upload.id).data["received"] == [1]


def test_looking_is_one_round_trip(sender: Sender, upload: SentFile) -> None:
    sender.put_all(upload, [1])
    with count_statements(sender.database) as traffic:
        assert sender.get(upload.id).status == 200
    assert (traffic.round_trips, traffic.commits) == (1, 0)


@pytest.mark.parametrize("mode", ["down", "error"])
def test_with_storage_down_it_is_a_503(
    sender: Sender, upload: SentFile, s3: LocalS3, mode: Any
) -> None:
    sender.put_all(upload)
    s3.faults.set("s3", mode, 60)
    refused(sender.get(upload.id), 503, "UNAVAILABLE")


@pytest.mark.parametrize("state", ["assembling", "completed", "aborted", "expired"])
def test_storage_is_not_asked_where_it_has_nothing_to_say(
    sender: Sender, upload: SentFile, s3: LocalS3, state: str
) -> None:
    sender.change(upload.id, state=state)
    s3.faults.set("s3", "down", 60)
    assert sender.get(upload.id).data["state"] == state


# Failures


def test_failures_in_a_row_are_counted_and_the_tenth_fails_it(
    sender: Sender, upload: SentFile
) -> None:
    for number in range(1, 10):
        assert sender.fail(upload.id).data == {"consecutiveFailures": number, "state": "created"}
    assert sender.fail(upload.id).data == {"consecutiveFailures": 10, "state": "failed"}
    # Late ones change nothing.
    assert sender.fail(upload.id).data == {"consecutiveFailures": 10, "state": "failed"}


def test_a_chunk_that_arrived_in_between_ends_the_row(sender: Sender, upload: SentFile) -> None:
    for _ in range(9):
        sender.fail(upload.id)
    sender.put_all(upload, [1])
    assert sender.fail(upload.id).data["consecutiveFailures"] == 1
    assert sender.fail(upload.id).data["consecutiveFailures"] == 2
    # Sent again, it is no news.
    sender.put_all(upload, [1])
    assert sender.fail(upload.id).data["consecutiveFailures"] == 3
    sender.put_all(upload, [4])
    assert sender.fail(upload.id).data["consecutiveFailures"] == 1


@pytest.mark.parametrize("mode", ["down", "error"])
def test_with_storage_down_failures_count_as_in_a_row(
    sender: Sender, upload: SentFile, s3: LocalS3, mode: Any
) -> None:
    sender.put_all(upload, [1])
    s3.faults.set("s3", mode, 60)
    assert sender.fail(upload.id).data["consecutiveFailures"] == 1
    assert sender.fail(upload.id).data["consecutiveFailures"] == 2
    s3.faults.set("s3", mode, 0)
    # Now that it can be seen, what had arrived counts.
    assert sender.fail(upload.id).data["consecutiveFailures"] == 1
    assert sender.fail(upload.id).data["consecutiveFailures"] == 2


@pytest.mark.parametrize("number", [0, -1, 6, 2**63, 10**400, True, 1.0, "1", None])
def test_a_number_the_upload_does_not_have_is_a_400(
    sender: Sender, upload: SentFile, number: object
) -> None:
    assert refused(sender.fail(upload.id, number), 400, "VALIDATION_ERROR") == ["number"]
    assert sender.row(upload.id)["consecutive_failures"] == 0


@pytest.mark.parametrize("reason", ["", "x" * 201, "\ud800", None, 5, ["timed out"]])
def test_a_reason_is_1_to_200_characters(sender: Sender, upload: SentFile, reason: object) -> None:
    fields = refused(sender.fail(upload.id, 1, reason), 400, "VALIDATION_ERROR")
    assert fields == ["reason"]
    assert sender.row(upload.id)["consecutive_failures"] == 0


@pytest.mark.parametrize("reason", ["x" * 200, 'timed "out"\n{}', "\0", "muda umeisha ⏱"])
def test_the_reason_is_logged_as_it_is(
    sender: Sender, upload: SentFile, log: Log, reason: str
) -> None:
    assert sender.fail(upload.id, 3, reason).status == 200
    (line,) = log.said("chunk did not get through")
    assert (line["upload_id"], line["number"], line["reason"]) == (str(upload.id), 3, reason)


def test_a_report_is_a_look_and_a_transaction_of_one_statement(
    sender: Sender, upload: SentFile
) -> None:
    sender.put_all(upload, [1])
    with count_statements(sender.database) as traffic:
        assert sender.fail(upload.id).status == 200
    assert (traffic.commits, traffic.rollbacks, len(traffic.statements)) == (1, 0, 2)
    assert traffic.round_trips == 3


# Taking it up again


def fail_it(sender: Sender, upload: SentFile) -> None:
    for _ in range(10):
        assert sender.fail(upload.id).status == 200
    assert sender.row(upload.id)["state"] == "failed"


def test_what_had_arrived_is_still_there(sender: Sender, upload: SentFile) -> None:
    sender.put_all(upload, [1, 2])
    fail_it(sender, upload)
    assert sender.get(upload.id).data["received"] == [1, 2]
    assert sender.resume(upload.id).data["missing"] == [3, 4, 5]
    sender.put_all(upload, [3, 4, 5])
    assert sender.complete(upload.id).status == 202


def test_with_storage_down_it_goes_on_all_the_same_and_may_be_asked_again(
    sender: Sender, upload: SentFile, s3: LocalS3
) -> None:
    sender.put_all(upload, [1])
    fail_it(sender, upload)
    s3.faults.set("s3", "down", 60)
    refused(sender.resume(upload.id), 503, "UNAVAILABLE")
    assert sender.row(upload.id)["state"] == "uploading"
    s3.faults.set("s3", "down", 0)
    assert sender.resume(upload.id).data["received"] == [1]


def test_resuming_is_one_transaction_of_one_statement(sender: Sender, upload: SentFile) -> None:
    fail_it(sender, upload)
    with count_statements(sender.database) as traffic:
        assert sender.resume(upload.id).status == 200
    assert (traffic.commits, len(traffic.statements), traffic.round_trips) == (1, 1, 2)
