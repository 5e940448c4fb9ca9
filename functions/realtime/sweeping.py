"""What each minute sets right: lost messages, connections that are over, and what grows old.

A connection's row says all that there is to do for it, so that a word that got lost, or a run that
was killed, costs a minute and nothing else.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection

from fieldgate import deadline
from fieldgate.db.engine import Database
from fieldgate.errors import Unavailable
from fieldgate.observability import gauge, logger
from fieldgate.queues import BATCH as MESSAGES
from realtime import sweep_store
from realtime.fan_out_queue import MOST_CONNECTIONS
from realtime.relaying import AskFor

# What the queue takes in one call; and of rows, what is deleted in one transaction.
ASKED_AT_ONCE = MOST_CONNECTIONS * MESSAGES
ROWS = 1_000
# Of a duty in a round: ten times what a minute brings where there are 100,000 connections.
MOST_BATCHES = 100

COUNT_SECONDS = 2


@dataclass
class Round:
    """What a round works on, and how far it is with a duty."""

    database: Database
    ask_for: AskFor
    done: int = 0


def sweep(database: Database, ask_for: AskFor) -> dict[str, int]:
    """Do each duty until nothing is left of it, or its share of the time is up.

    Says how much of each was done; the next round does the rest. What can't be done keeps nothing
    else from being done. Two rounds at once do some things twice, which is harmless.

    Raises:
        Unavailable: something could not be done, though there was time; the log says what.

    """
    _count(database)
    done: dict[str, int] = {}
    failed = []
    for number, (name, duty) in enumerate(_DUTIES.items()):
        work = Round(database, ask_for)
        if deadline.is_left():
            with deadline.within(deadline.seconds_left() / (len(_DUTIES) - number)):
                if not _attempted(name, partial(duty, work)):
                    failed.append(name)
        done[name] = work.done
        gauge("RealtimeSwept", work.done, duty=name)
    logger().info("swept", extra={"done": done, "failed": failed})
    if failed:
        raise Unavailable(f"Not done: {', '.join(failed)}.")
    return done


def _count(database: Database) -> None:
    """Say how many are connected; not to know it keeps nothing from being done."""
    try:
        with deadline.within(min(COUNT_SECONDS, deadline.seconds_left())):
            gauge("RealtimeConnections", database.read(sweep_store.connected))
    except Unavailable:
        logger().warning("connections not counted", exc_info=True)


def _send(work: Round) -> None:
    for ids in _batches(work.database, sweep_store.unsent):
        work.ask_for("send", ids)
        work.done += len(ids)


def _close(work: Round) -> None:
    for ids in _batches(work.database, sweep_store.over):
        work.ask_for("close", ids)
        work.done += len(ids)


def _forget_connections(work: Round) -> None:
    _until_none_is_left(work, sweep_store.forget_connections)


def _trim(work: Round) -> None:
    _until_none_is_left(work, sweep_store.trim)


def _forget_broadcasts(work: Round) -> None:
    _until_none_is_left(work, sweep_store.forget_broadcasts)


def _forget_announced(work: Round) -> None:
    _until_none_is_left(work, sweep_store.forget_announced)


_DUTIES: dict[str, Callable[[Round], None]] = {
    "send": _send,
    "close": _close,
    "forget_connections": _forget_connections,
    "trim": _trim,
    "forget_broadcasts": _forget_broadcasts,
    "forget_announced": _forget_announced,
}


def _batches(
    database: Database, find: Callable[[Connection, str, int], list[str]]
) -> Iterator[list[str]]:
    """Find connections in batches, by id: none is met again in this round."""
    after = ""

    def find_next(connection: Connection) -> list[str]:
        return find(connection, after, ASKED_AT_ONCE)

    for _ in range(MOST_BATCHES):
        ids = database.read(find_next)
        if ids:
            yield ids
        if len(ids) < ASKED_AT_ONCE:
            return
        after = ids[-1]


def _until_none_is_left(work: Round, change: Callable[[Connection, int], int]) -> None:
    for _ in range(MOST_BATCHES):
        rows = work.database.transact(lambda connection: change(connection, ROWS))
        work.done += rows
        if rows < ROWS:
            return


def _attempted(name: str, do: Callable[[], None]) -> bool:
    """Say whether it went well; what there is no time left for, the next round does."""
    try:
        do()
    except Unavailable:
        if deadline.is_left():
            logger().exception("not done", extra={"duty": name})
            return False
    return True
