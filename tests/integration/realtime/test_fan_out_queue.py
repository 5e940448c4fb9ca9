"""The function behind the queue: its sample event, and what becomes of a message."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, update

from fieldgate.db.engine import Database
from fieldgate.db.tables import sessions
from realtime import fan_out, fan_out_queue, fanning_out
from tests.support.connections_api import ACCESS_KEY, REGION, SECRET_KEY, TOKEN, run_connections_api
from tests.support.fan_out import Switchboard
from tests.support.gateway import LambdaContext
from tests.support.log import Log
from tests.support.sqs import DEAD_LETTERS, MAX_RECEIVES, LocalSqs
from tests.support.stream import Stream, new_event

EVENTS = Path(__file__).parents[3] / "events"
CONTEXT = LambdaContext(60_000)


@pytest.fixture
def board(
    environment: pytest.MonkeyPatch, live_database: Database, sqs: LocalSqs
) -> Iterator[Switchboard]:
    """As deployed: addresses and keys are settings."""
    with run_connections_api() as api:
        for name, value in {
            "REALTIME_ENDPOINT": api.endpoint,
            "FAN_OUT_QUEUE_URL": sqs.url,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_SESSION_TOKEN": TOKEN,
        }.items():
            environment.setenv(name, value)
        yield Switchboard(live_database, api, Stream(live_database))
        environment.setenv("REALTIME_ENDPOINT", api.endpoint)
        fan_out.line().close()


def deliver(sqs: LocalSqs) -> list[str]:
    """Do as Lambda with what is visible; return the messages that failed."""
    event = sqs.receive()
    assert event["Records"], "nothing to deliver"
    answer = fan_out.handler(event, CONTEXT)
    sqs.settle(event, answer)
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


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

    statement = update(sessions).values(ended_at=func.now(), end_reason="logout")
    board.database.transact(lambda connection: connection.execute(statement))
    ask(sqs, "close", "A=")
    assert deliver(sqs) == []
    assert board.api.deleted == ["A="]
    assert sqs.held() == 0
    assert [line for line in log.lines if line["level"] != "INFO"] == []


def test_what_could_not_be_sent_comes_back_after_a_pause(
    board: Switchboard, sqs: LocalSqs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fanning_out, "AGAIN_SECONDS", 0.1)
    board.connect("A=", board.stream.add_user())
    board.announce(new_event())
    board.api.choose_fault = lambda _, _name: 503
    ask(sqs, "send", "A=")

    assert len(deliver(sqs)) == 1

    assert sqs.held() == 1
    assert sqs.pauses() == [10]
    assert board.stream.owed() == {"A=": 1}


@pytest.mark.parametrize(
    "body",
    [
        "A=",
        "{}",
        '{"task":"send","connections":[]}',
        '{"task":"tell","connections":["A="]}',
        json.dumps({"task": "close", "connections": ["A="] * 501}),
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


def test_without_its_settings_the_message_waits_for_them(
    board: Switchboard, sqs: LocalSqs, environment: pytest.MonkeyPatch, log: Log
) -> None:
    environment.delenv("REALTIME_ENDPOINT")
    ask(sqs, "send", "A=")

    assert len(deliver(sqs)) == 1

    assert "REALTIME_ENDPOINT is not set" in log.text
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

    metrics: dict[str, Any] = {}
    for line in capsys.readouterr().out.splitlines():
        if "_aws" in line:
            metrics |= json.loads(line)
    assert (metrics["FanOutSent"], metrics["FanOutGone"]) == ([4], [1])
    assert "FanOutGivenBack" not in metrics
