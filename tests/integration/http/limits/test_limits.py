"""How many requests, whoever counts them: Valkey or PostgreSQL."""

import threading
import uuid
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from valkey import Valkey

from fieldgate.db import engine
from fieldgate.db.engine import Database
from fieldgate.db.url import parse_url
from fieldgate.http import entry_point
from fieldgate.http.limits import ADDRESS_FACTOR, RATES
from local.valkey import ValkeyServer
from tests.support.database import count_statements
from tests.support.gateway import call, signed_in
from tests.support.limited import (
    BURST,
    INTERVAL,
    Store,
    assert_limited,
    both,
    enter_as,
    neighbour,
    private,
    read_from,
    reading,
    told,
)
from tests.support.parallel import at_once

# A signed-in caller


def test_a_whole_bucket_may_be_had_at_once_and_then_one_at_a_time(
    store: Store, caller: dict[str, Any]
) -> None:
    for remaining in reversed(range(BURST)):
        answer = enter_as(caller)
        assert answer.status == 200
        assert told(answer) == {
            "limit": "10",
            "remaining": str(remaining),
            "reset": "12",
            "policy": "5;w=60;burst=10",
        }
    assert_limited(enter_as(caller), retry_after=12)
    store.age(11)
    assert_limited(enter_as(caller), retry_after=1)
    store.age(1)
    assert told(enter_as(caller))["remaining"] == "0"
    assert_limited(enter_as(caller), retry_after=12)


def test_a_refusal_by_another_limit_is_not_contradicted(
    store: Store, caller: dict[str, Any]
) -> None:
    answer = call(
        entry_point(private), "POST", "/private", content={"phone": "budget"}, authorizer=caller
    )
    assert (answer.status, answer.headers["retry-after"]) == (429, "60")
    assert (told(answer)["remaining"], told(answer)["reset"]) == ("0", "60")


def test_a_bucket_is_never_more_than_full(store: Store, caller: dict[str, Any]) -> None:
    enter_as(caller)
    store.age(3600)

    assert told(enter_as(caller))["remaining"] == str(BURST - 1)


def test_a_clock_set_back_costs_no_more_than_a_whole_bucket(
    store: Store, caller: dict[str, Any]
) -> None:
    enter_as(caller)
    store.age(-3600)

    assert_limited(enter_as(caller), retry_after=12)


def test_a_hundred_at_once_get_exactly_a_bucket_full(
    store: Store,
    caller: dict[str, Any],
    database_url: str,
    environment: pytest.MonkeyPatch,
) -> None:
    databases = [Database(lambda: parse_url(database_url, "the test")) for _ in range(20)]
    for database in databases:
        database.read(lambda connection: connection.exec_driver_sql("SELECT 1"))
    mine = threading.local()

    def enter(index: int) -> int:
        mine.database = databases[index % len(databases)]
        return enter_as(caller).status

    with environment.context() as each_thread:
        each_thread.setattr(engine, "database", lambda: mine.database)
        statuses = at_once(100, enter)
    for database in databases:
        database.close()
    assert Counter(statuses) == {200: BURST, 429: 100 - BURST}


def test_every_caller_has_their_own_bucket_for_all_routes_of_a_class(
    store: Store, caller: dict[str, Any]
) -> None:
    for _ in range(BURST):
        enter_as(caller)

    assert read_from(neighbour, "/neighbour", caller).status == 429
    assert told(read_from(reading, "/reading", caller))["policy"] == "60;w=60;burst=100"
    assert told(enter_as(signed_in(uuid.uuid4())))["remaining"] == str(BURST - 1)


@pytest.mark.parametrize(
    ("method", "status", "limit"),
    [("GET", 200, "read"), ("PUT", 200, "write"), ("POST", 405, "write")],
)
def test_an_app_that_reads_and_writes_spends_by_the_method(
    caller: dict[str, Any], method: str, status: int, limit: str
) -> None:
    answer = call(entry_point(both), method, "/both", authorizer=caller)

    rate, burst = RATES[limit]
    assert (answer.status, told(answer)["policy"]) == (status, f"{rate};w=60;burst={burst}")


@pytest.mark.parametrize(
    ("status", "request_"),
    [
        (400, {"body": "not json"}),
        (400, {"phone": 5}),
        (409, {"phone": "conflict"}),
        (413, {"body": "x" * 100_000}),
        (500, {"phone": "bug"}),
    ],
)
def test_an_error_costs_as_much_and_tells_as_much(
    caller: dict[str, Any], status: int, request_: dict[str, Any]
) -> None:
    answer = enter_as(caller, **request_)
    assert (answer.status, told(answer)["remaining"]) == (status, str(BURST - 1))
    for _ in range(BURST - 1):
        enter_as(caller)

    assert enter_as(caller, **request_).status == 429, "before the body is looked at"


def test_who_does_not_say_who_they_are_is_told_so_and_costs_nobody_anything(store: Store) -> None:
    for failure in (None, {"failure": "UNAUTHORIZED"}, {"failure": "TOKEN_EXPIRED"}):
        answer = enter_as(failure)
        assert (answer.status, told(answer)) == (401, {})

    assert store.keys() == []


def test_valkey_forgets_a_bucket_when_it_is_full(
    valkey: ValkeyServer, caller: dict[str, Any]
) -> None:
    enter_as(caller)
    enter_as(caller)

    with Valkey.from_url(valkey.url) as there:
        (key,) = there.keys()
        assert 23_000 < there.pttl(key) <= 24_000


def test_valkey_that_forgot_the_script_is_told_again(
    valkey: ValkeyServer, caller: dict[str, Any]
) -> None:
    enter_as(caller)
    with Valkey.from_url(valkey.url) as there:
        there.script_flush()

    assert told(enter_as(caller))["remaining"] == str(BURST - 2)


# Whatever comes, and when


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.integers(0, 40), max_size=30))
def test_it_is_a_bucket(store: Store, eighths: list[int]) -> None:
    """Requests, each so many eighths of a token's time after the one before, against a model."""
    store.empty()
    someone = signed_in(uuid.uuid4())
    tokens = float(BURST)
    for waited in eighths:
        store.age(waited * INTERVAL / 8)
        tokens = min(BURST, tokens + waited / 8)
        answer = enter_as(someone)
        assert answer.status == (200 if tokens >= 1 else 429)
        tokens -= tokens >= 1
        assert told(answer)["remaining"] == str(int(tokens))
        until_next = (1 - tokens % 1) * INTERVAL
        assert int(told(answer)["reset"]) == pytest.approx(until_next, abs=1)


def test_in_postgresql_it_costs_one_statement(
    postgresql_store: Store, live_database: Database, caller: dict[str, Any]
) -> None:
    enter_as(caller)
    with count_statements(live_database) as traffic:
        enter_as(caller)

    # BEGIN rides with it; then COMMIT.
    assert (len(traffic.statements), traffic.round_trips) == (1, 2)


def test_the_rates_are_the_contracts() -> None:
    assert RATES == {
        "auth": (5, 10),
        "read": (60, 100),
        "write": (30, 50),
        "bulk": (10, 20),
        "search": (30, 50),
    }
    assert ADDRESS_FACTOR == 50
    # Whole microseconds, so that nothing is lost by rounding.
    assert all(60_000_000 % (rate * ADDRESS_FACTOR) == 0 for rate, _ in RATES.values())
