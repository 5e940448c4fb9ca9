"""GET /health/signalr and /health/realtime: bare, and true."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, text, update

from fieldgate.db.engine import Database
from fieldgate.db.tables.all import outbox
from health import check_realtime
from tests.support.database import count_statements
from tests.support.gateway import Answer, call
from tests.support.log import Log
from tests.support.ports import free_port

EVENTS = Path(__file__).parents[3] / "events"
HEALTHY = 200, {"status": "Healthy", "service": "SignalR"}
UNHEALTHY = 503, {"status": "Unhealthy", "service": "SignalR"}


@pytest.fixture
def deployed(live_database: Database) -> Database:
    """All that was recorded so far is announced."""
    announce = update(outbox).values(dispatched_at=func.now())
    live_database.transact(lambda connection: connection.execute(announce))
    return live_database


def health(path: str = "/health/signalr") -> Answer:
    return call(check_realtime.handler, "GET", path)


def wait(database: Database, age: timedelta) -> None:
    """Have one change wait that long to be announced, and a younger one."""
    waiting = text(
        "UPDATE outbox SET dispatched_at = NULL, created_at = now() - CAST(:age AS interval)"
        " WHERE id IN (SELECT id FROM outbox ORDER BY id OFFSET :place LIMIT 1)"
    )

    def write(connection: Connection) -> None:
        # What is in the outbox is nobody's to change, so its trigger is held for a moment.
        connection.execute(text("ALTER TABLE outbox DISABLE TRIGGER fixed"))
        connection.execute(waiting, {"age": age, "place": 1})
        connection.execute(waiting, {"age": timedelta(), "place": 5})
        connection.execute(text("ALTER TABLE outbox ENABLE ALWAYS TRIGGER fixed"))

    database.transact(write)


def found(answer: Answer) -> tuple[int, object]:
    assert answer.headers["cache-control"] == "no-store"
    return answer.status, answer.json()


@pytest.mark.parametrize("path", ["/health/signalr", "/health/realtime"])
def test_it_is_healthy_where_nothing_waits(deployed: Database, path: str) -> None:
    assert found(health(path)) == HEALTHY


def test_it_is_healthy_while_changes_are_on_their_way(deployed: Database) -> None:
    wait(deployed, timedelta(minutes=4, seconds=59))
    assert found(health()) == HEALTHY


def test_it_is_unhealthy_when_nobody_announces_what_changes(deployed: Database, log: Log) -> None:
    wait(deployed, timedelta(minutes=5, seconds=1))
    assert found(health()) == UNHEALTHY
    assert log.said("changes are not announced")[0]["level"] == "ERROR"


def test_it_costs_one_round_trip(deployed: Database) -> None:
    health()
    with count_statements(deployed) as traffic:
        health()
    assert traffic.round_trips == 1


def test_it_is_unhealthy_when_nothing_listens(environment: pytest.MonkeyPatch, log: Log) -> None:
    environment.setenv("DATABASE_URL", f"postgresql://app:hunter2@127.0.0.1:{free_port()}/x")
    assert found(health()) == UNHEALTHY
    assert log.said("database not reachable")
    assert "hunter2" not in log.text


def test_it_is_unhealthy_when_no_database_is_configured(
    environment: pytest.MonkeyPatch, log: Log
) -> None:
    assert found(health()) == UNHEALTHY


def test_its_sample_is_answered(deployed: Database) -> None:
    event = json.loads((EVENTS / "check_realtime.json").read_text())
    answer = check_realtime.handler(event, None)
    assert (answer["statusCode"], json.loads(answer["body"])) == HEALTHY
