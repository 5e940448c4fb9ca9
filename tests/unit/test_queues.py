"""What becomes of queued messages: a real queue (moto's) on loopback, and Lambda's part played."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fieldgate import deadline, request_id
from fieldgate.errors import Unavailable
from fieldgate.queues import BATCH, RESERVE_SECONDS, PoisonMessage, consume, send, send_batch
from tests.support.gateway import LambdaContext
from tests.support.log import Log
from tests.support.sqs import DEAD_LETTERS, MAX_RECEIVES, LocalSqs, run_sqs


@pytest.fixture
def sqs(environment: pytest.MonkeyPatch) -> Iterator[LocalSqs]:
    with run_sqs() as server:
        environment.setenv("AWS_ENDPOINT_URL_SQS", server.endpoint)
        yield server


def fail_on(*bad: str, error: Exception) -> Any:
    def handle(body: str) -> None:
        if body in bad:
            raise error

    return handle


def identifiers(answer: dict[str, list[dict[str, str]]]) -> list[str]:
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def received_again(event: dict[str, Any], times: int) -> dict[str, Any]:
    """The same event, as if each message had been received that often."""
    for record in event["Records"]:
        record["attributes"]["ApproximateReceiveCount"] = str(times)
    return event


def test_each_message_is_handled_once_and_none_kept_when_all_is_well(sqs: LocalSqs) -> None:
    for body in ("one", "two", "three"):
        sqs.send(body)
    event = sqs.receive()
    seen: list[str] = []
    answer = consume(event, LambdaContext(), seen.append)
    assert seen == ["one", "two", "three"]
    assert answer == {"batchItemFailures": []}
    sqs.settle(event, answer)
    assert sqs.held() == 0


def test_only_the_failed_messages_are_kept_and_the_others_still_handled(sqs: LocalSqs) -> None:
    for body in ("one", "bad", "three"):
        sqs.send(body)
    event = sqs.receive()
    seen: list[str] = []

    def handle(body: str) -> None:
        if body == "bad":
            raise Unavailable("down")
        seen.append(body)

    answer = consume(event, LambdaContext(), handle)
    assert seen == ["one", "three"]
    assert identifiers(answer) == [event["Records"][1]["messageId"]]
    sqs.settle(event, answer)
    assert sqs.held() == 1


def test_when_every_message_fails_all_are_kept_and_the_function_does_not(sqs: LocalSqs) -> None:
    sqs.send("one")
    sqs.send("two")
    event = sqs.receive()
    answer = consume(event, LambdaContext(), fail_on("one", "two", error=Unavailable("down")))
    assert identifiers(answer) == [record["messageId"] for record in event["Records"]]


def test_poison_comes_back_at_once_until_it_is_a_dead_letter(sqs: LocalSqs) -> None:
    sqs.send("bad")
    for _ in range(MAX_RECEIVES):
        event = sqs.receive()
        assert [record["body"] for record in event["Records"]] == ["bad"]
        sqs.settle(
            event, consume(event, LambdaContext(), fail_on("bad", error=PoisonMessage("bad")))
        )
    assert sqs.receive()["Records"] == []
    assert sqs.pauses() == [0] * MAX_RECEIVES
    assert [record["body"] for record in sqs.receive(DEAD_LETTERS)["Records"]] == ["bad"]


@pytest.mark.parametrize("error", [Unavailable("down"), RuntimeError("a bug"), KeyError("x")])
def test_anything_else_comes_back_later(sqs: LocalSqs, error: Exception) -> None:
    sqs.send("bad")
    event = sqs.receive()
    sqs.settle(event, consume(event, LambdaContext(), fail_on("bad", error=error)))
    assert sqs.receive()["Records"] == []
    assert (sqs.held(), sqs.held(DEAD_LETTERS)) == (1, 0)


def test_the_pause_doubles_with_each_receive_up_to_a_quarter_of_an_hour(sqs: LocalSqs) -> None:
    sqs.send("bad")
    event = sqs.receive()
    for times in (1, 2, 3, 4, 5, 6, 7, 8, 100):
        consume(
            received_again(event, times),
            LambdaContext(),
            fail_on("bad", error=Unavailable("down")),
        )
    assert sqs.pauses() == [10, 20, 40, 80, 160, 320, 640, 900, 900]


def test_a_visibility_that_cannot_be_changed_does_no_harm(sqs: LocalSqs, log: Log) -> None:
    sqs.send("bad")
    sqs.send("good")
    event = sqs.receive()
    sqs.refusing = True
    seen: list[str] = []

    def handle(body: str) -> None:
        seen.append(body)
        if body == "bad":
            raise PoisonMessage("bad")

    answer = consume(event, LambdaContext(), handle)
    assert seen == ["bad", "good"]
    assert identifiers(answer) == [event["Records"][0]["messageId"]]
    assert [line["reason"] for line in log.said("visibility not changed")] == ["InvalidSecurity"]
    sqs.refusing = False
    assert sqs.receive()["Records"] == []  # the queue's own time-out holds it


def test_a_region_that_is_not_set_does_no_harm(
    sqs: LocalSqs, environment: pytest.MonkeyPatch, log: Log
) -> None:
    sqs.send("bad")
    event = sqs.receive()
    environment.delenv("AWS_DEFAULT_REGION")
    environment.setenv("AWS_CONFIG_FILE", "/nonexistent")
    answer = consume(event, LambdaContext(), fail_on("bad", error=PoisonMessage("bad")))
    assert len(identifiers(answer)) == 1
    assert [line["reason"] for line in log.said("visibility not changed")] == ["NoRegionError"]
    assert sqs.pauses() == []


def test_the_queue_is_looked_up_once(sqs: LocalSqs) -> None:
    for body in ("one", "two"):
        sqs.send(body)
    event = sqs.receive()
    consume(event, LambdaContext(), fail_on("one", "two", error=Unavailable("down")))
    assert [name for name, _ in sqs.calls].count("GetQueueUrl") == 1


def test_each_message_is_worked_on_and_logged_under_its_own_request_id(
    sqs: LocalSqs, log: Log
) -> None:
    for body in ("one", "two"):
        sqs.send(body)
    event = sqs.receive()
    seen: list[str] = []

    def handle(_body: str) -> None:
        seen.append(request_id.current())
        raise Unavailable("down")

    consume(event, LambdaContext(), handle)
    messages = [record["messageId"] for record in event["Records"]]
    assert seen == messages
    assert [line["request_id"] for line in log.said("message failed")] == messages


def test_what_is_sent_is_worked_on_under_the_senders_request_id(sqs: LocalSqs, log: Log) -> None:
    request_id.adopt("asked-by-a-phone")
    send(sqs.url, "one")
    sent = dict(sqs.calls)["SendMessage"]
    assert "asked-by-a-phone" not in sent["MessageBody"]
    request_id.adopt("of-this-invocation")

    seen: list[str] = []
    consume(sqs.receive(), LambdaContext(), lambda _: seen.append(request_id.current()))
    assert seen == ["asked-by-a-phone"]


def test_a_request_id_that_is_none_is_not_taken_from_a_message(sqs: LocalSqs) -> None:
    sqs.send("one")
    event = sqs.receive()
    insane = {"stringValue": "two\nlines", "dataType": "String"}
    event["Records"][0]["messageAttributes"] = {"request_id": insane}
    seen: list[str] = []
    consume(event, LambdaContext(), lambda _: seen.append(request_id.current()))
    assert seen == [event["Records"][0]["messageId"]]


def test_a_batch_is_one_call_under_the_senders_request_id(sqs: LocalSqs) -> None:
    request_id.adopt("asked-by-a-phone")
    bodies = [str(number) for number in range(BATCH)]
    assert send_batch(sqs.url, bodies) == BATCH
    assert [name for name, _ in sqs.calls] == ["SendMessageBatch"]
    request_id.adopt("of-this-invocation")

    seen: list[tuple[str, str]] = []
    consume(sqs.receive(), LambdaContext(), lambda body: seen.append((body, request_id.current())))
    assert seen == [(body, "asked-by-a-phone") for body in bodies]


def test_a_batch_may_wait_before_anybody_sees_it(sqs: LocalSqs) -> None:
    assert send_batch(sqs.url, ["one", "two"], delay_seconds=900) == 2
    ((_, call),) = sqs.calls
    assert [entry["DelaySeconds"] for entry in call["Entries"]] == [900, 900]
    assert sqs.receive()["Records"] == []


def test_of_a_batch_it_is_told_how_many_were_taken(sqs: LocalSqs) -> None:
    sqs.refused_bodies = {"two", "three"}
    assert send_batch(sqs.url, ["one", "two", "three"]) == 1
    assert send_batch(sqs.url, ["two"]) == 0
    assert [record["body"] for record in sqs.receive()["Records"]] == ["one"]


SENDING: list[Callable[[str], object]] = [
    lambda url: send(url, "one"),
    lambda url: send_batch(url, ["one"]),
]


@pytest.mark.parametrize("put", SENDING, ids=["one", "batch"])
@pytest.mark.parametrize("endpoint", ["refusing", "http://127.0.0.1:1"])
def test_a_message_that_the_queue_does_not_take_is_unavailable(
    sqs: LocalSqs, environment: pytest.MonkeyPatch, endpoint: str, put: Callable[[str], object]
) -> None:
    if endpoint == "refusing":
        sqs.refusing = True
    else:
        environment.setenv("AWS_ENDPOINT_URL_SQS", endpoint)
    with pytest.raises(Unavailable):
        put(sqs.url)


@pytest.mark.parametrize("put", SENDING, ids=["one", "batch"])
def test_nothing_is_sent_after_the_deadline(sqs: LocalSqs, put: Callable[[str], object]) -> None:
    with deadline.within(0), pytest.raises(Unavailable):
        put(sqs.url)
    assert sqs.calls == []


def test_the_work_has_the_functions_time_but_for_a_reserve(sqs: LocalSqs) -> None:
    sqs.send("one")
    left: list[float] = []
    consume(sqs.receive(), LambdaContext(30_000), lambda _: left.append(deadline.seconds_left()))
    assert 0 < left[0] <= 30 - RESERVE_SECONDS
    assert deadline.seconds_left() == math.inf


def test_what_there_is_no_time_left_for_comes_back_later(sqs: LocalSqs) -> None:
    sqs.send("one")
    event = sqs.receive()

    def handle(_body: str) -> None:
        deadline.seconds_left()

    answer = consume(event, LambdaContext(RESERVE_SECONDS * 1000), handle)
    assert identifiers(answer) == [event["Records"][0]["messageId"]]
    assert sqs.pauses() == [10]
