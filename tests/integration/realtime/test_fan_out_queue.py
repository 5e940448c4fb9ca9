"""The function behind the queue: its sample event, and what becomes of a message."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, update

from fieldgate.db.engine import Database
from fieldgate.db.tables.all import sessions
from realtime import fan_out, fan_out_queue
from realtime.fan_out_queue import LAST_TRY
from tests.support.connections_api import ACCESS_KEY, REGION, SECRET_KEY, TOKEN, run_connections_api
from tests.support.fan_out import Switchboard
from tests.support.gateway import LambdaContext
from tests.support.log import Log
from tests.support.sqs import DEAD_LETTERS, MAX_RECEIVES, LocalSqs
from tests.support.stream import Stream, new_event

EVENTS = Path(__file__).parents[3] / "events"
CONTEXT = LambdaContext(60_000)
BAD_NAMES = ["", "A\0", "A=\n", "A B", "Ä=", "A" * 129]


@pytest.fixture
def board(
    environment: pytest.MonkeyPatch, live_database: Database, sqs: LocalSqs
) -> Iterator[Switchboard]:
    """As deployed: addresses and keys are settings."""
    with run_connections_api() as api:
        settings = {
            "REALTIME_ENDPOINT": api.endpoint,
            "FAN_OUT_QUEUE_URL": sqs.url,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_SESSION_TOKEN": TOKEN,
        }
        for name, value in settings.items():
            environment.setenv(name, value)
        yield Switchboard(live_database, api, Stream(live_database))
        for name, value in settings.items():
            environment.setenv(name, value)
        fan_out.line().close()


def deliver(sqs: LocalSqs) -> list[str]:
    """Do as Lambda with what is visible; return the messages that failed."""
    event = sqs.receive()
    assert event["Records"], "nothing to deliver"
    answer = fan_out.handler(event, CONTEXT)
    sqs.settle(event, answer)
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def end_sessions(board: Switchboard) -> None:
    statement = update(sessions).values(ended_at=func.now(), end_reason="logout")
    board.database.transact(lambda connection: connection.execute(statement))


def message(body: dict[str, Any]) -> dict[str, Any]:
    """Return the sample event with another body, as it comes when a pause is over."""
    event: dict[str, Any] = json.loads((EVENTS / "fan_out.json").read_text())
    event["Records"][0]["body"] = json.dumps(body)
    return event


def counted(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Return the metrics of the last run."""
    metrics: dict[str, Any] = {}
    for line in capsys.readouterr().out.splitlines():
        if "_aws" in line:
            metrics |= json.loads(line)
    return metrics


def ask(sqs: LocalSqs, task: fan_out_queue.Task, *names: str) -> None:
    fan_out_queue.ask_for(task, names, fan_out_queue.fan_out_queue_url())


def test_the_sample_is_sent(board: Switchboard) -> None:
    event: dict[str, Any] = json.loads((EVENTS / "fan_out.json").read_text())
    names = json.loads(event["Records"][0]["body"])["connections"]
    user_id = board.stream.add_user()
    for name in names:
        board.connect(name, user_id)
    board.announce(new_event())

    assert fan_out.handler(event, CONTEXT) == {"batchItemFailures": []}

    assert {name: board.offsets(name) for name in names} == {name: [1] for name in names}
    assert board.api.refusals == []


def test_what_the_relay_asks_for_is_done(board: Switchboard, sqs: LocalSqs, log: Log) -> None:
    board.connect("A=", board.stream.add_user())
    board.announce(new_event())
    ask(sqs, "send", "A=")
    assert deliver(sqs) == []
    assert board.offsets("A=") == [1]

    end_sessions(board)
    ask(sqs, "close", "A=")
    assert deliver(sqs) == []
    assert board.api.deleted == ["A="]
    assert sqs.held() == 0
    assert [line for line in log.lines if line["level"] != "INFO"] == []


def asked(sqs: LocalSqs) -> list[tuple[int, dict[str, Any]]]:
    """Return what was asked for, and after which pauses."""
    return [
        (entry["DelaySeconds"], json.loads(entry["MessageBody"]))
        for name, call in sqs.calls
        if name == "SendMessageBatch"
        for entry in call["Entries"]
    ]


def test_for_whom_it_failed_is_asked_again_after_growing_pauses(
    board: Switchboard, sqs: LocalSqs
) -> None:
    for name in ("A=", "B="):
        board.connect(name, board.stream.add_user())
    board.announce(new_event())
    board.api.choose_fault = lambda method, name: 429 if (method, name) == ("POST", "A=") else None
    ask(sqs, "send", "A=", "B=")

    assert deliver(sqs) == []
    for _ in range(LAST_TRY):
        board.end_pauses()
        event = message(asked(sqs)[-1][1])
        assert fan_out.handler(event, CONTEXT) == {"batchItemFailures": []}

    pauses, bodies = zip(*asked(sqs), strict=True)
    assert pauses == (0, 1, 2, 4, 8, 16, 32)
    assert [body["connections"] for body in bodies[1:]] == [["A="]] * 6
    assert sqs.pauses() == []
    assert board.offsets("B=") == [1]
    assert (board.api.deleted, list(board.rows())) == (["A="], ["B="])


def test_who_could_not_be_closed_is_asked_for_again(board: Switchboard, sqs: LocalSqs) -> None:
    board.connect("A=", board.stream.add_user())
    end_sessions(board)
    board.api.choose_fault = lambda _method, _name: 429
    ask(sqs, "close", "A=")

    assert deliver(sqs) == []

    assert asked(sqs)[1:] == [(1, {"task": "close", "connections": ["A="], "tries": 1})]


def test_when_the_queue_takes_nothing_the_message_itself_comes_back(
    board: Switchboard, sqs: LocalSqs
) -> None:
    board.connect("A=", board.stream.add_user())
    board.announce(new_event())
    board.api.choose_fault = lambda _, _name: 503
    ask(sqs, "send", "A=")
    (_, body), *_ = asked(sqs)
    sqs.refused_bodies = {json.dumps(body | {"tries": 1}, separators=(",", ":"))}

    assert len(deliver(sqs)) == 1

    assert sqs.held() == 1
    assert sqs.pauses() == [10]
    assert board.stream.owed() == {"A=": 1}
    assert board.leased() == []


@pytest.mark.parametrize(
    "body",
    [
        "A=",
        "{}",
        '{"task":"send","connections":[]}',
        '{"task":"tell","connections":["A="]}',
        json.dumps({"task": "close", "connections": ["A="] * 501}),
        *(json.dumps({"task": "send", "connections": [name]}) for name in BAD_NAMES),
        *(json.dumps({"task": "send", "connections": ["A="], "tries": n}) for n in (-1, 7)),
    ],
)
def test_a_message_that_is_none_of_ours_goes_to_the_dead_letters(
    board: Switchboard, sqs: LocalSqs, body: str
) -> None:
    board.connect("A=", board.stream.add_user())
    sqs.send(body)

    for _ in range(MAX_RECEIVES):
        assert len(deliver(sqs)) == 1

    assert sqs.receive() == {"Records": []}
    assert sqs.held(DEAD_LETTERS) == 1
    assert list(board.rows()) == ["A="]
    assert board.api.asked == []


@pytest.mark.parametrize("name", ["REALTIME_ENDPOINT", "FAN_OUT_QUEUE_URL"])
def test_without_its_settings_the_message_waits_for_them(
    board: Switchboard, sqs: LocalSqs, environment: pytest.MonkeyPatch, log: Log, name: str
) -> None:
    environment.delenv(name)
    sqs.send('{"task":"send","connections":["A="]}')

    assert len(deliver(sqs)) == 1

    assert f"{name} is not set" in log.text
    assert sqs.held() == 1


def test_what_was_sent_and_who_is_gone_is_counted(
    board: Switchboard, sqs: LocalSqs, capsys: pytest.CaptureFixture[str]
) -> None:
    user_id = board.stream.add_user()
    for name in ("A=", "B=", "C="):
        board.connect(name, user_id, dialect="json")
    board.api.disconnect("C=")
    board.announce(new_event(), new_event())
    ask(sqs, "send", "A=", "B=", "C=")

    deliver(sqs)

    metrics = counted(capsys)
    assert (metrics["FanOutSent"], metrics["FanOutGone"]) == ([4], [1])
    assert not {"FanOutGivenBack", "FanOutPutOut"} & metrics.keys()


def test_who_is_put_out_is_counted(board: Switchboard, capsys: pytest.CaptureFixture[str]) -> None:
    board.connect("A=", board.stream.add_user())
    board.announce(new_event())
    board.api.choose_fault = lambda method, _name: 429 if method == "POST" else None

    board.change("A=", tries=LAST_TRY)
    fan_out.handler(message({"task": "send", "connections": ["A="], "tries": LAST_TRY}), CONTEXT)

    metrics = counted(capsys)
    assert metrics["FanOutPutOut"] == [1]
    assert "FanOutGivenBack" not in metrics
