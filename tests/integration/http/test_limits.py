"""How many requests, whoever counts them: Valkey, PostgreSQL, or nobody when both are away."""

import re
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Request
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from valkey import Valkey

from fieldgate import cache
from fieldgate.db import engine
from fieldgate.db.engine import Database
from fieldgate.db.url import parse_url
from fieldgate.errors import Conflict, RateLimited
from fieldgate.http import (
    ApiModel,
    Caller,
    Envelope,
    client_ip,
    create_app,
    current_caller,
    entry_point,
    envelope,
    limit_identifier,
)
from fieldgate.http.limits import ADDRESS_FACTOR, RATES
from local.valkey import ValkeyServer, start_valkey
from tests.conftest import run_sql
from tests.integration.test_cache import port_of, silent_server
from tests.support.clock import Clock
from tests.support.database import count_statements
from tests.support.gateway import Answer, call, signed_in
from tests.support.log import Log
from tests.support.parallel import at_once
from tests.support.ports import free_port

BURST = 10  # of the class auth, where a token comes back in 12 s
INTERVAL = 12.0


class Knock(ApiModel):
    phone: str


private = create_app("private", limit="auth")
neighbour = create_app("neighbour", limit="auth")
reading = create_app("reading", limit="read")
both = create_app("both", limit="by_method")
public = create_app("public", limit="auth", public=True)


@private.post("/private")
async def enter(knock: Knock, caller: Annotated[Caller, Depends(current_caller)]) -> Envelope[str]:
    if knock.phone == "conflict":
        raise Conflict("Not now.")
    if knock.phone == "budget":
        raise RateLimited("Another limit.", headers={"Retry-After": "60"})
    if knock.phone == "bug":
        raise RuntimeError
    return envelope("in")


@neighbour.get("/neighbour")
@reading.get("/reading")
@both.get("/both")
@both.put("/both")
async def read() -> Envelope[str]:
    return envelope("read")


@public.post("/public")
async def knock(request: Request, knock: Knock) -> Envelope[str]:
    limit_identifier(request, knock.phone)
    return envelope(client_ip(request))


@dataclass
class Store:
    """What counts in this test, and the ways to look into it and to move its time on."""

    age: Callable[[float], object]
    keys: Callable[[], list[str]]
    empty: Callable[[], object]


@pytest.fixture
def valkey_store(environment: pytest.MonkeyPatch, valkey: ValkeyServer) -> Iterator[Store]:
    with Valkey.from_url(valkey.url, decode_responses=True) as there:

        def age(seconds: float) -> None:
            for key in there.scan_iter():
                there.set(key, round(int(there.get(key)) - seconds * 1_000_000), keepttl=True)

        yield Store(age, there.keys, there.flushall)


@pytest.fixture
def postgresql_store(
    environment: pytest.MonkeyPatch, live_database: Database, database_url: str
) -> Store:
    environment.delenv("CACHE_URL")

    def age(seconds: float) -> None:
        moved = f"full_at - interval '{seconds} seconds'"
        run_sql(database_url, f"UPDATE rate_limits SET full_at = {moved}")

    return Store(
        age,
        lambda: [str(key) for (key,) in run_sql(database_url, "SELECT key FROM rate_limits")],
        lambda: run_sql(database_url, "DELETE FROM rate_limits"),
    )


@pytest.fixture(params=["valkey_store", "postgresql_store"])
def store(request: pytest.FixtureRequest) -> Store:
    found: Store = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def caller(environment: pytest.MonkeyPatch) -> dict[str, Any]:
    return signed_in(uuid.uuid4())


def enter_as(caller: dict[str, Any] | None, phone: object = "x", **request: Any) -> Answer:
    content = None if "body" in request else {"phone": phone}
    return call(
        entry_point(private), "POST", "/private", content=content, authorizer=caller, **request
    )


def knock_at(phone: str = "+254711000009", address: str = "192.0.2.7", **headers: str) -> Answer:
    def from_address(event: dict[str, Any], context: Any) -> dict[str, Any]:
        event["requestContext"]["http"]["sourceIp"] = address
        return entry_point(public)(event, context)

    return call(from_address, "POST", "/public", content={"phone": phone}, headers=headers)


def read_from(app: FastAPI, path: str, caller: dict[str, Any]) -> Answer:
    return call(entry_point(app), "GET", path, authorizer=caller)


def told(answer: Answer) -> dict[str, str]:
    """Return what the headers tell of the bucket."""
    return {
        name.removeprefix("ratelimit-"): value
        for name, value in answer.headers.items()
        if name.startswith("ratelimit-")
    }


def assert_limited(answer: Answer, retry_after: int) -> None:
    assert (answer.status, answer.error["code"]) == (429, "RATE_LIMITED")
    assert answer.headers["retry-after"] == str(retry_after)
    assert told(answer)["remaining"] == "0"
    assert told(answer)["reset"] == str(retry_after)


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


# Anybody


def test_an_identifier_has_a_bucket_wherever_it_comes_from(store: Store) -> None:
    for number in range(BURST):
        answer = knock_at("Grower@farm.example.org", f"192.0.2.{number}")
        assert told(answer)["remaining"] == str(BURST - 1 - number), "not the address's, far fuller"

    assert_limited(knock_at(" grower@FARM.example.org", "192.0.2.99"), retry_after=12)
    assert knock_at("+254711000009").status == 200


def test_an_address_has_one_fifty_times_as_large(store: Store) -> None:
    whole = BURST * ADDRESS_FACTOR
    answer = knock_at(phone="")
    assert told(answer)["limit"] == str(BURST)
    # All but three of the address's, whatever the identifier.
    store.age(-(whole - 4) * INTERVAL / ADDRESS_FACTOR)
    store_keys = len(store.keys())
    answers = [knock_at(f"+25471100000{number}") for number in range(4)]

    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert told(answers[0]) == {
        "limit": str(whole),
        "remaining": "2",
        "reset": "1",
        "policy": "250;w=60;burst=500",
    }
    assert_limited(answers[3], retry_after=1)
    assert len(store.keys()) == store_keys + 3, "what the address is refused costs no identifier"


@pytest.mark.parametrize(
    "name", ["x-forwarded-for", "forwarded", "x-real-ip", "true-client-ip", "via"]
)
def test_a_header_does_not_change_the_address(store: Store, name: str) -> None:
    assert knock_at("a", **{name: "203.0.113.1"}).data == "192.0.2.7"
    store.age(-3600)

    assert knock_at("b", **{name: "203.0.113.2"}).status == 429
    assert knock_at("b", **{name: "203.0.113.2, 192.0.2.8"}).status == 429
    assert knock_at("b", address="192.0.2.8").status == 200


@pytest.mark.parametrize(
    ("seen", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", "unknown"),
        ("proxy", "unknown"),
    ],
)
def test_an_address_is_what_one_customer_has(
    environment: pytest.MonkeyPatch, seen: str, counted: str
) -> None:
    assert knock_at(address=seen).data == counted


EDGE_KEY = "only-cloudfront-has-this-one-to-show"


@pytest.mark.parametrize(
    ("shown", "forwarded", "counted"),
    [
        (EDGE_KEY, "203.0.113.5, 192.0.2.7", "203.0.113.5"),
        # What the client wrote itself stands before what CloudFront saw.
        (EDGE_KEY, "198.51.100.1, 203.0.113.5, 192.0.2.7", "203.0.113.5"),
        (EDGE_KEY, "2001:db8:1:2::1, 192.0.2.7", "2001:db8:1:2::/64"),
        (EDGE_KEY, "192.0.2.7", "192.0.2.7"),
        (EDGE_KEY, "", "192.0.2.7"),
        (EDGE_KEY[:-1], "203.0.113.5, 192.0.2.7", "192.0.2.7"),
        ("schlüssel", "203.0.113.5, 192.0.2.7", "192.0.2.7"),
    ],
)
def test_behind_cloudfront_the_address_is_what_it_saw(
    environment: pytest.MonkeyPatch, shown: str, forwarded: str, counted: str
) -> None:
    environment.setenv("EDGE_KEY", EDGE_KEY)
    headers = {"x-edge-key": shown, "x-forwarded-for": forwarded}
    assert knock_at(**headers).data == counted


def test_without_a_key_of_ours_nobody_is_cloudfront(environment: pytest.MonkeyPatch) -> None:
    headers = {"x-edge-key": "", "x-forwarded-for": "203.0.113.5, 192.0.2.7"}
    assert knock_at(**headers).data == "192.0.2.7"
    assert knock_at(**headers | {"x-edge-key": "anything"}).data == "192.0.2.7"


def test_no_number_or_address_is_written_down(store: Store) -> None:
    knock_at("+254711000009")

    assert len(store.keys()) == 2
    assert all(map(re.compile("limit:[0-9a-f]{64}").fullmatch, store.keys()))


def test_half_a_character_is_an_identifier_too(store: Store) -> None:
    assert knock_at("\ud800").status == 200


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


# When what counts is away


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
