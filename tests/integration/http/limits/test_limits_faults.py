"""How many requests while Valkey, PostgreSQL or both are away or hang."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fieldgate import cache
from fieldgate.db import engine
from local.valkey import ValkeyServer, start_valkey
from tests.integration.test_cache import port_of, silent_server
from tests.support.clock import Clock
from tests.support.limited import BURST, Store, enter_as, told
from tests.support.log import Log
from tests.support.ports import free_port


@pytest.fixture
def own_valkey(environment: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ValkeyServer]:
    with start_valkey(tmp_path, free_port()) as server:
        environment.setenv("CACHE_URL", server.url)
        yield server


def test_valkey_killed_is_stood_in_for_and_used_again_when_it_is_back(
    own_valkey: ValkeyServer,
    postgresql_store: Store,
    environment: pytest.MonkeyPatch,
    caller: dict[str, Any],
    tmp_path: Path,
) -> None:
    clock = Clock.instead_of_time_in(cache, environment)
    environment.setenv("CACHE_URL", own_valkey.url)
    assert enter_as(caller).status == 200
    assert postgresql_store.keys() == []

    own_valkey.process.kill()
    own_valkey.process.wait()
    assert [enter_as(caller).status for _ in range(BURST + 1)] == [200] * BURST + [429]
    assert len(postgresql_store.keys()) == 1

    with start_valkey(tmp_path, port_of(own_valkey)):
        assert enter_as(caller).status == 429
        clock.now += cache.REST_SECONDS
        assert told(enter_as(caller))["remaining"] == str(BURST - 1)


def test_valkey_that_hangs_costs_less_than_a_second_and_only_once(
    postgresql_store: Store, environment: pytest.MonkeyPatch, caller: dict[str, Any]
) -> None:
    environment.delenv("CACHE_ANSWER_SECONDS")
    engine.database().read(lambda connection: connection.exec_driver_sql("SELECT 1"))
    with silent_server() as port:
        environment.setenv("CACHE_URL", f"redis://127.0.0.1:{port}")
        began = time.monotonic()
        assert told(enter_as(caller))["remaining"] == str(BURST - 1)
        waited = time.monotonic() - began
        answers = [enter_as(caller) for _ in range(5)]
        more = time.monotonic() - began - waited

    assert waited < 1
    assert more < 5 * 0.25, "none of them waited for it"
    assert [answer.status for answer in answers] == [200] * 5


def test_with_nobody_to_count_requests_go_on(
    environment: pytest.MonkeyPatch, caller: dict[str, Any], log: Log
) -> None:
    environment.setenv("CACHE_URL", f"redis://127.0.0.1:{free_port()}")
    environment.setenv("DATABASE_URL", f"postgresql://app:hunter2@127.0.0.1:{free_port()}/x")
    answers = [enter_as(caller) for _ in range(BURST + 1)]

    assert {(answer.status, *told(answer)) for answer in answers} == {(200,)}
    assert {line["level"] for line in log.said("rate limits can't be looked at; going on")} == {
        "WARNING"
    }
    assert "hunter2" not in log.text


def test_a_database_that_hangs_too_is_waited_for_no_longer_than_two_seconds(
    environment: pytest.MonkeyPatch, caller: dict[str, Any]
) -> None:
    environment.delenv("CACHE_URL")
    with silent_server() as port:
        environment.setenv("DATABASE_URL", f"postgresql://app@127.0.0.1:{port}/x")
        began = time.monotonic()
        assert enter_as(caller).status == 200

    assert time.monotonic() - began < 3


def test_without_cache_and_database_there_are_no_limits(
    environment: pytest.MonkeyPatch, caller: dict[str, Any], log: Log
) -> None:
    environment.delenv("CACHE_URL")
    answers = [enter_as(caller) for _ in range(BURST + 1)]

    assert {(answer.status, *told(answer)) for answer in answers} == {(200,)}
    (line,) = log.said("feature off")
    assert line["feature"] == "rate limits"
