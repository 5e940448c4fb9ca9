"""What our own code adds to a request of a warm function: microseconds, and round trips.

    python -m benchmarks.warm_request [--runs 7]

Handlers are called in this process with the events of the gateway, against a real PostgreSQL and a
real Valkey on this machine. The alternative is FastAPI behind Mangum doing the same work with
nothing around it. Exit code 1 when what is ours takes 200 us or more.
"""

import importlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from logging import StreamHandler
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch
from urllib.parse import urlsplit
from uuid import UUID

from fastapi import FastAPI, HTTPException, Request, Response
from mangum import Mangum

from benchmarks.command_line import parser
from benchmarks.function_settings import PEPPER
from benchmarks.results import Comparison, Section, Table, publish
from benchmarks.round_trips import Counter, counting
from fieldgate import settings
from fieldgate.db.engine import Database, database
from fieldgate.db.migrate import migrate
from fieldgate.db.url import parse_url
from fieldgate.http import limits
from fieldgate.observability import logger
from fieldgate.token_bucket import Bucket, take
from health import generate_204
from identity import get_profile, store
from local import template as sam
from local.postgres import start_postgres
from local.valkey import start_valkey
from tests.support.gateway import Handler, http_event
from tests.support.people import Person, register
from tests.support.ports import free_port

MOST_MICROSECONDS = 200
WAITING = "who I am: Valkey and PostgreSQL"
AT_ONCE = "who I am: both answered at once"
REQUESTS = 200  # whose mean is one value
LIMITLESS = 1_000_000
PERSON = Person("", None, roles=("admin",))
SIGNED_IN = {
    "claims": {
        "sub": str(PERSON.id),
        "sid": str(UUID(int=1)),
        "roles": ["admin"],
        "permissions": [
            *("health:read", "media:read", "stock:read", "stock:approve", "stock:write"),
            *("users:read", "config:write", "notifications:send"),
        ],
    }
}
EMPTY = http_event("GET", "/generate_204")
ME = http_event("GET", "/api/v1/auth/me", authorizer=SIGNED_IN)
REFUSED = http_event("GET", "/api/v1/auth/me")

NOTES = (
    """Our own is processor's time, in which nothing waits for a server; the other rows are by the
clock.""",
    """Routes that write, or have a parameter, are counted by their tests. The authorizer's own
round trip, one to Valkey, is not in the table.""",
)


LIMITS = (
    "After each wait for a server the processor's caches are cold, and the same code, which is more"
    " than the bare one's, takes longer than where both are answered at once."
)


class Spent(NamedTuple):
    """Microseconds by the clock, and of the processor."""

    clock: float
    processor: float


type Call = tuple[str, dict[str, Any], Handler]
type Timed = dict[str, list[tuple[Spent, Spent | None]]]


def main() -> int:
    runs = parser(__doc__, runs=7).parse_args().runs
    with running() as (postgres, valkey):
        timed = measure(runs)
        trips = list(round_trips(postgres, valkey))
    return publish(section(timed, trips))


def bare() -> Handler:
    """Return FastAPI behind Mangum, that does what three of our routes do and nothing besides."""
    app = FastAPI()

    @app.get("/generate_204")
    async def empty() -> Response:
        return Response(status_code=204)

    @app.get("/api/v1/auth/me")
    async def me(request: Request) -> dict[str, Any]:
        authorizer = request.scope["aws.event"]["requestContext"].get("authorizer")
        if not authorizer:
            raise HTTPException(401, "Not signed in")
        user_id = UUID(authorizer["lambda"]["claims"]["sub"])
        take(f"bare {user_id}", Bucket(LIMITLESS, LIMITLESS))
        user = database().read(lambda connection: store.find_by_id(connection, user_id))
        if user is None:
            raise HTTPException(404)
        return {"id": str(user.id), "name": user.name, "roles": sorted(user.roles)}

    return Mangum(app, lifespan="off")


def measure(runs: int) -> Timed:
    """Return what a request takes, ours and theirs, of each run in turns."""
    theirs = bare()
    requests: list[Call] = [
        ("an empty answer", EMPTY, generate_204.handler),
        ("a request without a token, refused", REFUSED, get_profile.handler),
        (WAITING, ME, get_profile.handler),
    ]
    timed: Timed = {what: [] for what, _, _ in requests}
    for what, event, ours in requests:
        assert ours(event, None)["statusCode"] == theirs(event, None)["statusCode"], what
    for _ in range(runs):
        for what, event, ours in requests:
            timed[what].append((_called(ours, event), _called(theirs, event)))
    timed[AT_ONCE] = []
    with _answered_at_once():
        for _ in range(runs):
            timed[AT_ONCE].append((_called(get_profile.handler, ME), _called(theirs, ME)))
    person = lambda: database().read(lambda it: store.find_by_id(it, PERSON.id))  # noqa: E731
    timed["of it PostgreSQL"] = [(_mean(person), None) for _ in range(runs)]
    bucket = Bucket(LIMITLESS, LIMITLESS)
    timed["of it Valkey"] = [(_mean(lambda: take("bare", bucket)), None) for _ in range(runs)]
    return timed


@contextmanager
def _answered_at_once() -> Iterator[None]:
    """Answer for PostgreSQL and Valkey, without a wait."""
    user = database().read(lambda connection: store.find_by_id(connection, PERSON.id))
    bucket = Bucket(LIMITLESS, LIMITLESS)
    standing = take("bare", bucket)
    with (
        patch.object(Database, "read", lambda _database, _work: user),
        patch.object(limits, "take", lambda _name, _bucket: standing),
        patch(f"{__name__}.take", lambda _name, _bucket: standing),
    ):
        yield


def _called(handler: Handler, event: dict[str, Any]) -> Spent:
    return _mean(lambda: handler(event, None))


def _mean(work: Callable[[], Any]) -> Spent:
    began, began_work = time.perf_counter(), time.process_time()
    for _ in range(REQUESTS):
        work()
    clock, processor = time.perf_counter() - began, time.process_time() - began_work
    return Spent(clock / REQUESTS * 1e6, processor / REQUESTS * 1e6)


def round_trips(postgres: str, valkey: str) -> Iterator[tuple[str, str, str]]:
    """Call each route that reads; count how often PostgreSQL and Valkey are waited for.

    Counted is the second call: the first one connects.
    """
    with _counted(postgres, "DATABASE_URL") as rows, _counted(valkey, "CACHE_URL") as keys:
        for path, handler in _reading_routes():
            event = http_event("GET", path, authorizer=SIGNED_IN)
            handler(event, None)
            before = rows.trips, keys.trips
            if handler(event, None)["statusCode"] < 300:
                found = rows.trips - before[0], keys.trips - before[1]
                yield f"GET {path}", str(found[0]), str(found[1])
        database().close()
        settings.forget()


@contextmanager
def _counted(url: str, name: str) -> Iterator[Counter]:
    address = urlsplit(url)
    assert address.hostname is not None
    assert address.port is not None
    database().close()
    with counting(address.hostname, address.port) as counter:
        os.environ[name] = url.replace(f":{address.port}", f":{counter.port}")
        settings.forget()
        yield counter


def _reading_routes() -> Iterator[tuple[str, Handler]]:
    """Yield path and handler of each GET without a parameter in its path."""
    for _, function in sam.resources(sam.read_template(), sam.FUNCTION):
        for event in function.get("Events", {}).values():
            route = event["Properties"]
            is_read = event["Type"] == "HttpApi" and route.get("Method") == "GET"
            if is_read and "{" not in route["Path"]:
                module = importlib.import_module(function["Handler"].removesuffix(".handler"))
                yield route["Path"], module.handler


def section(timed: Timed, trips: list[tuple[str, str, str]]) -> Section:
    comparisons = []
    for what, runs in timed.items():
        ours = [our.clock for our, _ in runs]
        theirs = [their.clock for _, their in runs if their]
        against = "FastAPI and Mangum, bare" if theirs else ""
        comparisons.append(Comparison(what, "us", ours, theirs, against))
        if theirs:
            own = [our.processor - their.processor for our, their in runs if their]
            met = statistics.median(own) < MOST_MICROSECONDS
            goal = f"under {MOST_MICROSECONDS}"
            why = LIMITS if what == WAITING else ""
            comparisons.append(
                Comparison(f"{what}: our own", "us", own, goal=goal, met=met, limits=why)
            )
    return Section(
        "warm_request",
        "Warm request",
        "Handlers of warm functions, called in this process with the gateway's events, against a"
        " real PostgreSQL and Valkey. Against FastAPI behind Mangum that answers the same, asks the"
        " same of PostgreSQL and of Valkey, and does nothing besides. Our own is the difference:"
        " request id, headers, envelope, error mapping, caller, limits, and the log line of each"
        f" request. Each value is the mean of {REQUESTS} requests.",
        comparisons,
        [
            Table(
                "Round trips of every route that reads, counted on the wire",
                ["route", "PostgreSQL", "Valkey"],
                trips,
            )
        ],
        NOTES,
    )


@contextmanager
def running() -> Iterator[tuple[str, str]]:
    """Run PostgreSQL with one person in it, and Valkey; yield their URLs."""
    with (
        tempfile.TemporaryDirectory(prefix="fieldgate-warm-") as folder,
        start_postgres(Path(folder) / "data", free_port(), durable=False) as postgres,
        start_valkey(Path(folder) / "valkey", free_port()) as valkey,
        ExitStack() as stack,
    ):
        migrate(lambda: parse_url(postgres.url, "the benchmark"))
        os.environ |= {
            "DATABASE_URL": postgres.url,
            "CACHE_URL": valkey.url,
            "STORAGE_BUCKET": "originals",
            "MEDIA_BUCKET": "media",
            "STORAGE_REGION": sam.REGION,
            "PEPPER": PEPPER,
        }
        settings.forget()
        limits.RATES = dict.fromkeys(limits.RATES, (LIMITLESS, LIMITLESS))
        register(database(), PERSON)
        # What is logged is formatted as ever, and goes nowhere.
        handler = logger().registered_handler
        assert isinstance(handler, StreamHandler)
        nowhere = stack.enter_context(Path(os.devnull).open("w"))
        stack.callback(handler.setStream, handler.setStream(nowhere))
        try:
            yield postgres.url, valkey.url
        finally:
            database().close()
            settings.forget()


if __name__ == "__main__":
    sys.exit(main())
