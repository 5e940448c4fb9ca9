"""The rounds that functions make when a schedule wakes them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from fieldgate import deadline, request_id
from fieldgate.errors import Unavailable
from fieldgate.observability import count, logger
from fieldgate.resilience import Tries, tried

if TYPE_CHECKING:  # not every function with a schedule loads it before there is an event
    from sqlalchemy import Connection

    from fieldgate.db.engine import Database

# Kept of a function's time for what was begun last: a secret is given up after 6 s, a queue after
# 3; the database waits no longer than the deadline by itself.
RESERVE_SECONDS = 8
# Where rounds go to storage, which is given up after 17 s at worst.
STORAGE_RESERVE_SECONDS = 20
# Beyond the function's time-out: then a killed round is gone.
MARGIN_SECONDS = 5
# To give a lease back, of the reserve.
GIVE_BACK_SECONDS = 3
# Who finds a round at work waits for so long. Those of each minute take a fraction of it, so that
# what was there when somebody asked for a round is seen to by one that began after that.
TURN_SECONDS = 5
# A lease that is longer than any function may run was given by a clock that has been set back.
LONGEST_SECONDS = 900

_TAKE = """
    INSERT INTO schedule_leases AS lease (name, holder, leased_until)
    VALUES (:name, :holder, now() + make_interval(secs => :seconds))
    ON CONFLICT (name) DO UPDATE
        SET holder = excluded.holder, leased_until = excluded.leased_until
        WHERE lease.leased_until <= now()
            OR lease.leased_until > now() + make_interval(secs => :longest)
    RETURNING 1"""
_GIVE_BACK = """
    UPDATE schedule_leases SET leased_until = now() WHERE name = :name AND holder = :holder"""


class _AtWork(Exception):
    """Another round has the lease."""


@contextmanager
def one_round(
    event: dict[str, Any], context: Any, reserve_seconds: float = RESERVE_SECONDS
) -> Iterator[None]:
    """Work under the event's id, with the function's time less a reserve as deadline.

    What there is no time left for, the next round does.
    """
    logger().append_keys(request_id=request_id.adopt(event.get("id")))
    with deadline.within(context.get_remaining_time_in_millis() / 1000 - reserve_seconds):
        yield


def round_alone[T](
    name: str,
    event: dict[str, Any],
    context: Any,
    database: "Database",
    work: "Callable[[Database], T]",
    *,
    reserve_seconds: float = RESERVE_SECONDS,
) -> T | None:
    """Make a round as `one_round` does, and no other of that name at the same time.

    Of two that a schedule fired at once the second waits its turn, some seconds, and then does
    nothing: it returns None, as where there is no time at all. A killed round's lease ends with the
    function's time-out.

    Raises:
        Unavailable: the database is; and whatever `work` does.

    """
    seconds = context.get_remaining_time_in_millis() / 1000 + MARGIN_SECONDS
    with one_round(event, context, reserve_seconds):
        if not deadline.is_left():
            return None
        holder = uuid4()
        turn = Tries(on=(_AtWork,), attempts=100, seconds=TURN_SECONDS, longest_pause=0.5)
        try:
            tried(turn, lambda: _take(database, name, holder, seconds))
        except _AtWork:
            logger().warning("another round is at work", extra={"schedule": name})
            count("ScheduleSkipped", schedule=name)
            return None
        try:
            done = work(database)
        finally:
            _give_back(database, name, holder)
        count("ScheduleRound", schedule=name)
        return done


def _take(database: "Database", name: str, holder: UUID, seconds: float) -> None:
    from sqlalchemy import text

    values = {"name": name, "holder": holder, "seconds": seconds, "longest": LONGEST_SECONDS}

    def take(connection: "Connection") -> bool:
        return connection.execute(text(_TAKE), values).first() is not None

    if not database.transact(take):
        raise _AtWork


def _give_back(database: "Database", name: str, holder: UUID) -> None:
    """Let the next one in; if that fails, the lease ends by itself."""
    from sqlalchemy import text
    from sqlalchemy.exc import DBAPIError

    values = {"name": name, "holder": holder}
    with suppress(Unavailable, DBAPIError), deadline.within(GIVE_BACK_SECONDS):
        database.transact(lambda connection: connection.execute(text(_GIVE_BACK), values))
