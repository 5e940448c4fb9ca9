"""GET /health: bare, and true."""

import pytest

from fieldgate.db.engine import Database
from health import check_health
from tests.support.database import count_statements
from tests.support.gateway import Answer, call
from tests.support.log import Log
from tests.support.ports import free_port


def health() -> Answer:
    return call(check_health.handler, "GET", "/health")


def test_it_is_healthy_when_the_database_answers(live_database: Database) -> None:
    answer = health()

    assert (answer.status, answer.json()) == (200, {"status": "Healthy"})
    assert answer.headers["cache-control"] == "no-store"


def test_it_costs_one_round_trip(live_database: Database) -> None:
    health()
    with count_statements(live_database) as traffic:
        health()

    assert traffic.round_trips == 1


def assert_unhealthy(answer: Answer, log: Log) -> None:
    assert (answer.status, answer.json()) == (503, {"status": "Unhealthy"})
    assert answer.headers["cache-control"] == "no-store"
    (line,) = log.said("database not reachable")
    assert line["level"] == "ERROR"
    assert line["exception_name"] in {"DatabaseUnreachable", "Unavailable", "ConfigurationError"}
    assert "hunter2" not in log.text


def test_it_is_unhealthy_when_nothing_listens(environment: pytest.MonkeyPatch, log: Log) -> None:
    environment.setenv("DATABASE_URL", f"postgresql://app:hunter2@127.0.0.1:{free_port()}/x")

    assert_unhealthy(health(), log)


def test_it_is_unhealthy_when_the_database_is_not_there(
    environment: pytest.MonkeyPatch, database_url: str, log: Log
) -> None:
    environment.setenv("DATABASE_URL", f"{database_url}_absent")

    assert_unhealthy(health(), log)


@pytest.mark.parametrize("url", ["", "hunter2"])
def test_it_is_unhealthy_when_no_database_is_configured(
    environment: pytest.MonkeyPatch, log: Log, url: str
) -> None:
    environment.setenv("DATABASE_URL", url)

    assert_unhealthy(health(), log)


def test_it_is_healthy_again_when_the_database_is_back(
    environment: pytest.MonkeyPatch, database_url: str
) -> None:
    from fieldgate.db import engine

    environment.setenv("DATABASE_URL", f"postgresql://app@127.0.0.1:{free_port()}/x")
    assert health().status == 503

    environment.setenv("DATABASE_URL", database_url)
    assert health().status == 200
    engine.database().close()
