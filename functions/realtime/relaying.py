"""From what was committed to events in the stream, and to the workers that post them.

A batch is one transaction, under the stream's lock: rows of the outbox become events with offsets,
are marked as dispatched, and the connections concerned are owed the events. Connections of sessions
that ended are closed. Killed before the commit, nothing was done; after it, the sweep asks for what
the queue was not asked for.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from sqlalchemy import Connection

from fieldgate import two_level_cache
from fieldgate.db.engine import Database
from fieldgate.errors import Unavailable
from fieldgate.observability import gauge
from fieldgate.queues import PoisonMessage
from fieldgate.relay import NEWS
from realtime import stream_store, visibility
from realtime.events import NewEvent
from realtime.fan_out_queue import Task
from realtime.visibility import DELETED, UPDATED, Change

BATCH = 1_000
SMALL_BATCH = 50

type AskFor = Callable[[Task, Sequence[str]], None]
"""Has the workers do something for connections; see `fan_out_queue.ask_for`."""


@dataclass(frozen=True)
class Batch:
    """What a transaction moved: `rows` of the outbox, of which the oldest is `seconds` old.

    They are changes of `tables`. Connections are `owed` something now, or `over`.
    """

    rows: int = 0
    events: int = 0
    seconds: float = 0
    owed: Sequence[str] = ()
    over: Sequence[str] = ()
    tables: frozenset[str] = frozenset()


def relay(database: Database, ask_for: AskFor) -> int:
    """Announce every change that is committed, in batches, until there are none left.

    Returns:
        How many events that were.

    Raises:
        Unavailable: the database or the queue is, or the time is up; what is done is done.

    """
    lag, events, size = 0.0, 0, BATCH
    try:
        while True:
            try:
                batch = database.transact(partial(dispatch, size=size))
            except Unavailable:
                # It may have been too much at once; else this fails as well.
                if size <= SMALL_BATCH:
                    raise
                size = SMALL_BATCH
                continue
            lag, events = max(lag, batch.seconds), events + batch.events
            two_level_cache.renew_changed(batch.tables)
            if batch.owed:
                ask_for("send", batch.owed)
            if batch.over:
                ask_for("close", batch.over)
            if batch.rows < size:
                return events
    finally:
        gauge("RelayLagSeconds", lag)
        gauge("EventsDispatched", events)


def dispatch(connection: Connection, size: int = BATCH) -> Batch:
    """Move up to `size` rows: six round trips with the commit, three where there is nothing."""
    head = stream_store.lock(connection)
    taken = stream_store.take(connection, size)
    if not taken:
        return Batch()
    stream_store.mark_dispatched(connection, [row.outbox_id for row in taken])
    events = merged(row.change for row in taken)
    seconds = max(row.seconds for row in taken)
    ended = [row.change.entity_id for row in taken if visibility.ends_session(row.change)]
    over = stream_store.connections_of(connection, ended) if ended else ()
    tables = frozenset(row.change.entity for row in taken)
    if not events:
        return Batch(len(taken), seconds=seconds, over=over, tables=tables)
    told = {audience for event in events for audience in event.audiences}
    before, head = head, stream_store.append(connection, head, events)
    owed = stream_store.want(connection, told, before, head)
    return Batch(len(taken), len(events), seconds, owed, over, tables)


def merged(changes: Iterable[Change]) -> list[NewEvent]:
    """Return the events of changes, one of a kind for each thing, at the place of its last.

    Who was to hear of any of its changes hears of all, as one.
    """
    found: dict[tuple[str, str, str], NewEvent] = {}
    for change in changes:
        for event in visibility.events_of(change):
            key = change.entity, change.entity_id, event.kind
            before = found.pop(key, None)
            found[key] = _joined(before, event) if before else event
    return list(found.values())


def _joined(first: NewEvent, then: NewEvent) -> NewEvent:
    told = tuple(dict.fromkeys(first.audiences + then.audiences))
    return replace(then, action=_joined_action(first.action, then.action), audiences=told)


def _joined_action(first: str, then: str) -> str:
    if then == DELETED:
        return DELETED
    # Deleted and there again is not what it was, and not new.
    return UPDATED if first == DELETED else first


def once_a_batch(run: Callable[[], object]) -> Callable[[str], None]:
    """Return what makes one run for all wake-ups of a batch.

    All were sent before it begins, so it heeds them all; where it fails, each of them has failed.
    Of a body that is no wake-up it raises PoisonMessage.
    """
    ran: list[Exception | None] = []

    def handle(body: str) -> None:
        if body != NEWS:
            raise PoisonMessage("no wake-up")
        if not ran:
            try:
                run()
            except Exception as error:
                ran.append(error)
                raise
            ran.append(None)
        elif ran[0]:
            raise Unavailable("The run for an earlier message failed.") from ran[0]

    return handle
