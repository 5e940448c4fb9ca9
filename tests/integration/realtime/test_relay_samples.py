"""The functions around relay and sweep, through their sample events and a real queue."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert

from fieldgate.db.engine import Database
from fieldgate.db.tables.all import realtime_stream, sessions, users
from fieldgate.queues import RESERVE_SECONDS
from realtime import broadcast, list_events, relay_changes, sweep_connections
from tests.support.database import count_statements
from tests.support.gateway import LambdaContext
from tests.support.log import Log
from tests.support.sqs import LocalSqs
from tests.support.stream import Stream, new_event

EVENTS = Path(__file__).parents[3] / "events"
SCHEDULED: dict[str, Any] = json.loads((EVENTS / "schedules/relay_changes.json").read_text())
SAMPLE_ADMIN = "01989f3c-7a5e-7b7e-8a34-52b1c0a9d002"
CONTEXT = LambdaContext(60_000)


def sample(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return event


@pytest.fixture
def stream(environment: pytest.MonkeyPatch, live_database: Database, sqs: LocalSqs) -> Stream:
    """Wake-ups are recorded nowhere; what is asked of the workers is on the queue."""
    environment.setenv("FAN_OUT_QUEUE_URL", sqs.url)
    return Stream(live_database)


def asked(sqs: LocalSqs) -> list[dict[str, Any]]:
    return [
        json.loads(entry["MessageBody"])
        for name, call in sqs.calls
        if name == "SendMessageBatch"
        for entry in call["Entries"]
    ]


def messages(*bodies: str) -> dict[str, Any]:
    """Return the event of a batch of messages."""
    (record,) = sample("relay_changes")["Records"]
    return {
        "Records": [
            record
            | {
                "messageId": f"message-{number}",
                "body": body,
                "md5OfBody": hashlib.md5(body.encode()).hexdigest(),
            }
            for number, body in enumerate(bodies)
        ]
    }


def failures(answer: Any) -> list[str]:
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def test_the_relay_s_sample_announces_and_closes(stream: Stream, sqs: LocalSqs) -> None:
    user_id = stream.add_user()
    stream.connect("A", user_id)
    stream.broadcast(user_id)
    stream.change(sessions, ended_at=func.now(), end_reason="logout")
    assert relay_changes.handler(sample("relay_changes"), CONTEXT) == {"batchItemFailures": []}
    assert stream.told() == [("changed", "shipments", "1", "status_changed")]
    assert asked(sqs) == [
        {"task": "send", "connections": ["A"]},
        {"task": "close", "connections": ["A"]},
    ]


def test_on_its_schedule_the_relay_announces_what_nobody_woke_it_for(
    stream: Stream, sqs: LocalSqs
) -> None:
    user_id = stream.add_user()
    stream.connect("A", user_id)
    stream.broadcast(user_id)
    assert relay_changes.handler(SCHEDULED, CONTEXT) is None
    assert asked(sqs) == [{"task": "send", "connections": ["A"]}]


def test_ten_wake_ups_are_one_run(stream: Stream) -> None:
    stream.broadcast(stream.add_user())
    with count_statements(stream.database) as traffic:
        assert failures(relay_changes.handler(messages(*["changes"] * 10), CONTEXT)) == []
    assert traffic.commits == 1
    assert len(stream.events()) == 1


def test_where_the_run_fails_every_message_that_asked_for_it_is_kept(
    stream: Stream, sqs: LocalSqs
) -> None:
    user_id = stream.add_user()
    stream.connect("A", user_id)
    stream.broadcast(user_id)
    sqs.refusing = True
    answer = relay_changes.handler(messages("changes", "changes"), CONTEXT)
    assert failures(answer) == ["message-0", "message-1"]
    sqs.refusing = False
    assert failures(relay_changes.handler(messages("changes"), CONTEXT)) == []
    assert len(stream.events()) == 1
    swept = sweep_connections.handler(SCHEDULED, CONTEXT)
    assert swept is not None
    assert swept["send"] == 1
    assert asked(sqs)[-1] == {"task": "send", "connections": ["A"]}


def test_what_is_no_wake_up_is_poison_and_holds_up_no_other(
    stream: Stream, sqs: LocalSqs, log: Log
) -> None:
    stream.broadcast(stream.add_user())
    for body in ("changes\n", "reload", ""):
        sqs.client.send_message(QueueUrl=sqs.url, MessageBody=body or "{}")
    sqs.send("changes")
    event = sqs.receive()
    answer = relay_changes.handler(event, CONTEXT)
    assert len(failures(answer)) == 3
    assert sqs.pauses() == [0, 0, 0]
    assert {line["exception_name"] for line in log.said("message failed")} == {"PoisonMessage"}
    assert len(stream.events()) == 1


def test_a_run_that_has_no_time_left_fails_its_messages(stream: Stream) -> None:
    stream.broadcast(stream.add_user())
    late = LambdaContext(RESERVE_SECONDS * 1000)
    assert failures(relay_changes.handler(messages("changes"), late)) == ["message-0"]
    assert stream.events() == []


def test_many_connections_are_asked_for_by_500(stream: Stream, sqs: LocalSqs) -> None:
    user_id = stream.add_user()
    stream.connect_many(501, user_id)
    stream.broadcast(user_id)
    relay_changes.handler(messages("changes"), CONTEXT)
    assert [len(work["connections"]) for work in asked(sqs)] == [500, 1]


def test_the_sweep_s_sample_does_its_round(stream: Stream, sqs: LocalSqs) -> None:
    user_id = stream.add_user()
    stream.append(new_event())
    stream.connect("A", user_id, sent_offset=0)
    done = sweep_connections.handler(sample("sweep_connections"), CONTEXT)
    assert done == {
        "send": 1,
        "close": 0,
        "forget_connections": 0,
        "trim": 0,
        "forget_broadcasts": 0,
        "forget_announced": 0,
    }
    assert asked(sqs) == [{"task": "send", "connections": ["A"]}]


def test_the_http_samples_are_answered(stream: Stream) -> None:
    admin = insert(users).values(id=SAMPLE_ADMIN, name="Admin", phone="+254711000099")
    stream.database.transact(lambda connection: connection.execute(admin))
    said = broadcast.handler(sample("broadcast"), None)
    assert said["statusCode"] == 202, said

    epoch = sample("list_events")["queryStringParameters"]["epoch"]
    stream.append(*(new_event("channel:stock") for _ in range(43)))
    stream.change(realtime_stream, epoch=epoch)
    said = list_events.handler(sample("list_events"), None)
    assert said["statusCode"] == 200, said
    data = json.loads(said["body"])["data"]
    assert [event["offset"] for event in data["events"]] == [42, 43]
