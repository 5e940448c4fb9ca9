"""How each thing does that functions depend on: asked at once, each for a moment only."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass
from typing import Literal

from fieldgate import cache, deadline, queues
from fieldgate.circuit_breaker import CircuitBreaker
from fieldgate.db.engine import database
from fieldgate.observability import logger
from fieldgate.push.sending import FirebaseSettings
from fieldgate.settings import Settings, load, lookup
from fieldgate.sms.africas_talking import AfricasTalkingSettings
from fieldgate.sms.sending import SmsSettings
from health.relay_store import is_late

type State = Literal["up", "degraded", "down", "off"]
type Status = Literal["Healthy", "Degraded", "Unhealthy"]

# What one check may begin something within; a new environment makes its clients meanwhile.
CHECK_SECONDS = 3
# What all of them are waited for.
WAIT_SECONDS = 5
# So that of the two that share a connection to a database that hangs, none is still at it when the
# next request wants it.
DATABASE_SECONDS = 2


class HealthSettings(Settings):
    """Which queue is asked. What the others go by is what they themselves read."""

    health_queue_url: str = ""


@dataclass(frozen=True)
class Finding:
    """How something does; `detail` is a sentence of ours, never a vendor's or an exception's."""

    state: State
    detail: str = ""


@dataclass(frozen=True)
class Dependency:
    """A dependency as it was found, and how long it took to answer."""

    name: str
    state: State
    latency_ms: float | None
    detail: str


type Check = Callable[[], Finding]


def look() -> list[Dependency]:
    """Ask every dependency; return what was found within `WAIT_SECONDS`, in one order.

    Those of a group are asked one after the other, since they share a connection, or what makes
    their clients; the one that may take longest comes last.
    """
    groups: Sequence[Sequence[tuple[str, Check]]] = [
        [("database", _database), ("realtime", _realtime)],
        [("cache", _cache)],
        [("queues", _queues), ("storage", _storage)],
        [("sms", _sms), ("push", _push)],
    ]
    found: dict[str, Dependency] = {}
    # Not as a context, which would wait for whoever hangs.
    threads = ThreadPoolExecutor(len(groups))
    wait(
        [threads.submit(copy_context().run, _ask, group, found) for group in groups],
        timeout=WAIT_SECONDS,
    )
    threads.shutdown(wait=False, cancel_futures=True)
    names = [name for group in groups for name, _ in group]
    late = "did not answer in time"
    return [found.get(name) or Dependency(name, "down", None, late) for name in names]


def status_of(dependencies: Sequence[Dependency]) -> Status:
    """Sum up: nothing goes without the database, and something does without anything else."""
    states = {one.name: one.state for one in dependencies}
    if states["database"] != "up":
        return "Unhealthy"
    return "Degraded" if {"down", "degraded"} & set(states.values()) else "Healthy"


def _ask(group: Sequence[tuple[str, Check]], found: dict[str, Dependency]) -> None:
    for name, check in group:
        began = time.perf_counter()
        try:
            with deadline.within(CHECK_SECONDS):
                finding = check()
        except Exception:  # noqa: BLE001 whatever it is, it is the answer
            logger().warning("dependency is down", extra={"dependency": name}, exc_info=True)
            finding = Finding("down", "does not answer")
        took = round((time.perf_counter() - began) * 1000, 1)
        latency = None if finding.state == "off" else took
        found[name] = Dependency(name, finding.state, latency, finding.detail)


def _database() -> Finding:
    from sqlalchemy import select

    with deadline.within(DATABASE_SECONDS):
        database().read(lambda connection: connection.scalar(select(1)))
    return Finding("up")


def _realtime() -> Finding:
    with deadline.within(DATABASE_SECONDS):
        late = database().read(is_late)
    if late:
        return Finding("degraded", "changes wait to be told for over five minutes")
    return Finding("up")


def _cache() -> Finding:
    if not (lookup("CACHE_URL") or lookup("REDIS_URL")):
        return Finding("off", "the database does its work")
    if cache.evaluate("return 1", "health") is None:
        return Finding("down", "the database does its work meanwhile")
    return Finding("up")


def _queues() -> Finding:
    queues.look(load(HealthSettings).health_queue_url)
    return Finding("up")


def _storage() -> Finding:
    from fieldgate.storage import originals, published, staging

    for place in (originals, staging, published):
        # One page of nothing: that it may be asked for is the answer.
        next(iter(place().list("health/")), None)
    return Finding("up")


def _sms() -> Finding:
    provider = load(SmsSettings).sms_provider
    if provider == "africas_talking" and not load(AfricasTalkingSettings).username:
        return Finding("off", "no provider of texts is set up")
    return _by_circuit(f"sms:{provider}")


def _push() -> Finding:
    if not load(FirebaseSettings).enabled:
        return Finding("off", "notifications stay in the inbox")
    return _by_circuit("fcm")


def _by_circuit(name: str) -> Finding:
    """Go by what those who call found: a call only to look would cost money, or a quota."""
    match CircuitBreaker(name).state():
        case "open":
            return Finding("down", "the last calls failed; it is left alone for now")
        case "half_open":
            return Finding("degraded", "the last calls failed; the next one tries again")
        case _:
            return Finding("up")
