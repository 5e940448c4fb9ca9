"""GET /health/dependencies: each state, in time whatever hangs, and nothing secret is shown."""

import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from fieldgate import settings
from fieldgate.circuit_breaker import FAILURES, CircuitBreaker
from fieldgate.db import engine
from fieldgate.db.engine import Database
from health import check_dependencies, dependencies
from tests.conftest import run_sql
from tests.support.gateway import Answer, call, signed_in
from tests.support.sqs import LocalSqs

if TYPE_CHECKING:
    from tests.support.s3 import LocalS3

SECONDS = 10
LIMITS = {
    name: getattr(dependencies, name)
    for name in ("CHECK_SECONDS", "WAIT_SECONDS", "DATABASE_SECONDS")
}


def ask(permission: str = "health:read") -> Answer:
    return call(
        check_dependencies.handler,
        "GET",
        "/health/dependencies",
        authorizer=signed_in(uuid.uuid4(), permissions=[permission]),
    )


def states(answer: Answer) -> dict[str, str]:
    return {one["name"]: one["state"] for one in answer.data["dependencies"]}


@pytest.fixture
def deployed(
    live_database: Database, environment: pytest.MonkeyPatch, sqs: LocalSqs, s3: "LocalS3"
) -> pytest.MonkeyPatch:
    """Everything there, as the function finds it."""
    for name, value in {
        **s3.environment(),
        "HEALTH_QUEUE_URL": sqs.url,
        "AFRICAS_TALKING_USERNAME": "fieldgate",
        "FIREBASE_ENABLED": "true",
        "FIREBASE_PROJECT_ID": "fieldgate-test",
    }.items():
        environment.setenv(name, value)
    # A busy machine may be slow to make a client; where it is about time, the limits are the real.
    for name in LIMITS:
        environment.setattr(dependencies, name, 60)
    return environment


@pytest.fixture
def hurried(deployed: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The same, and waited for as long as the function does."""
    for name, seconds in LIMITS.items():
        deployed.setattr(dependencies, name, seconds)
    return deployed


@contextmanager
def silent_server() -> Iterator[int]:
    """Take connections and never answer; yields the port."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield server.getsockname()[1]


def test_all_is_up(deployed: pytest.MonkeyPatch) -> None:
    answer = ask()
    assert answer.status == 200
    assert states(answer) == dict.fromkeys(
        ["database", "realtime", "cache", "queues", "storage", "sms", "push"], "up"
    )
    assert answer.data["status"] == "Healthy"
    for one in answer.data["dependencies"]:
        assert 0 <= one["latencyMs"] < SECONDS * 1000
        assert one["detail"] is None


def test_it_is_for_those_with_the_permission(deployed: pytest.MonkeyPatch) -> None:
    assert ask("users:read").status == 403


def test_what_is_not_set_up_is_off(deployed: pytest.MonkeyPatch) -> None:
    for name in ("CACHE_URL", "AFRICAS_TALKING_USERNAME", "FIREBASE_ENABLED"):
        deployed.delenv(name)
    answer = ask()
    found = states(answer)
    assert {found[name] for name in ("cache", "sms", "push")} == {"off"}
    assert answer.data["status"] == "Healthy"


def test_without_the_database_all_is_unhealthy(deployed: pytest.MonkeyPatch) -> None:
    nowhere = Database(lambda: (_ for _ in ()).throw(OSError("postgresql://user:secret@host")))
    deployed.setattr(dependencies, "database", lambda: nowhere)
    answer = ask()
    assert answer.status == 200
    assert answer.data["status"] == "Unhealthy"
    assert (states(answer)["database"], states(answer)["cache"]) == ("down", "up")
    assert b"secret" not in answer.body


@pytest.mark.parametrize(
    ("name", "variable", "address"),
    [
        ("cache", "CACHE_URL", "redis://:secret@127.0.0.1:1"),
        ("queues", "AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:1"),
        ("storage", "STORAGE_ENDPOINT", "http://127.0.0.1:1"),
    ],
)
def test_one_that_is_down_is_named(
    deployed: pytest.MonkeyPatch, name: str, variable: str, address: str
) -> None:
    deployed.setenv(variable, address)
    answer = ask()
    found = states(answer)
    assert found.pop(name) == "down"
    assert set(found.values()) == {"up"}
    assert answer.data["status"] == "Degraded"
    assert b"127.0.0.1" not in answer.body
    assert b"secret" not in answer.body


def test_an_open_circuit_shows(deployed: pytest.MonkeyPatch) -> None:
    for name in ("sms:africas_talking", "fcm"):
        breaker = CircuitBreaker(name)
        for _ in range(FAILURES):
            breaker.failed()
    answer = ask()
    assert (states(answer)["sms"], states(answer)["push"]) == ("down", "down")
    assert answer.data["status"] == "Degraded"


def test_changes_that_wait_show(deployed: pytest.MonkeyPatch, database_url: str) -> None:
    run_sql(
        database_url,
        "INSERT INTO users (name, phone) VALUES ('Grower', '+254711000009')",
        "ALTER TABLE outbox DISABLE TRIGGER fixed",
        "UPDATE outbox SET created_at = now() - interval '10 minutes'",
    )
    answer = ask()
    assert states(answer)["realtime"] == "degraded"
    assert answer.data["status"] == "Degraded"


def test_whatever_hangs_the_answer_comes_in_time(hurried: pytest.MonkeyPatch) -> None:
    with silent_server() as port:
        hurried.setenv("CACHE_URL", f"redis://127.0.0.1:{port}")
        hurried.setenv("CACHE_ANSWER_SECONDS", "0.25")
        hurried.setenv("AWS_ENDPOINT_URL_SQS", f"http://127.0.0.1:{port}")
        hurried.setenv("STORAGE_ENDPOINT", f"http://127.0.0.1:{port}")
        began = time.monotonic()
        answer = ask()
        took = time.monotonic() - began
        found = states(answer)
        assert (found["cache"], found["queues"], found["storage"]) == ("down", "down", "down")
        assert found["database"] == "up"
        assert took < SECONDS
        _until_nobody_asks()


def _until_nobody_asks() -> None:
    """Wait for the threads that still ask a server that hangs, which is to outlive them."""
    me = threading.current_thread()
    asking: list[Any] = [
        one for one in threading.enumerate() if one is not me and "ThreadPool" in one.name
    ]
    for one in asking:
        one.join(SECONDS)


def test_where_the_database_hangs_as_well_the_answer_comes_in_time(
    hurried: pytest.MonkeyPatch,
) -> None:
    """The limit of requests asks it too, before anything is looked at."""
    engine.database().close()
    with silent_server() as port:
        for name, value in {
            "DATABASE_URL": f"postgresql://app:hunter2@127.0.0.1:{port}/x",
            "CACHE_URL": f"redis://127.0.0.1:{port}",
            "CACHE_ANSWER_SECONDS": "0.25",
            "AWS_ENDPOINT_URL_SQS": f"http://127.0.0.1:{port}",
            "STORAGE_ENDPOINT": f"http://127.0.0.1:{port}",
        }.items():
            hurried.setenv(name, value)
        settings.forget()
        began = time.monotonic()
        answer = ask()
        took = time.monotonic() - began
        assert (answer.status, answer.data["status"]) == (200, "Unhealthy")
        asked = ("database", "realtime", "cache", "queues", "storage")
        assert {states(answer)[name] for name in asked} == {"down"}
        assert b"hunter2" not in answer.body
        assert took < SECONDS
        _until_nobody_asks()


def test_settings_that_are_wrong_are_down_and_nothing_else_is(
    deployed: pytest.MonkeyPatch,
) -> None:
    deployed.setenv("FIREBASE_ENABLED", "perhaps")
    settings.forget()
    answer = ask()
    assert answer.status == 200
    found = states(answer)
    assert found.pop("push") == "down"
    assert "down" not in found.values()


def test_a_provider_may_be_spelt_as_one_word(
    deployed: pytest.MonkeyPatch,
) -> None:
    deployed.setenv("SMS_PROVIDER", "AfricasTalking")
    breaker = CircuitBreaker("sms:africas_talking")
    for _ in range(FAILURES):
        breaker.failed()
    assert states(ask())["sms"] == "down"


def test_a_provider_spelt_as_one_word_that_is_not_set_up_is_off(
    deployed: pytest.MonkeyPatch,
) -> None:
    deployed.setenv("SMS_PROVIDER", "AfricasTalking")
    deployed.delenv("AFRICAS_TALKING_USERNAME")
    assert states(ask())["sms"] == "off"


def test_pushes_are_on_also_where_the_credentials_name_the_project(
    deployed: pytest.MonkeyPatch,
) -> None:
    deployed.setenv("FIREBASE_PROJECT_ID", "")
    assert states(ask())["push"] == "up"
