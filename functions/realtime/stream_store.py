"""Every query about the stream: how events come into it, who is owed them, and what is replayed."""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC
from uuid import UUID

from sqlalchemy import (
    Connection,
    RowMapping,
    and_,
    any_,
    bindparam,
    case,
    func,
    select,
    text,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import BigInteger, Text, Uuid

from fieldgate.db.tables.change_log import change_log, outbox
from fieldgate.db.tables.realtime import (
    realtime_connections,
    realtime_events,
    realtime_stream,
)
from realtime.audience_store import concerned
from realtime.audiences import Viewer
from realtime.events import NewEvent, Position, Replay, StreamEvent, Stretch
from realtime.visibility import TOLD, Change

_APPEND = """
    WITH appended AS (
        INSERT INTO realtime_events
            (event_offset, kind, entity_type, entity_id, action, audiences, at)
        SELECT CAST(:head AS bigint) + place, kind, entity_type, entity_id, action, audiences, at
        FROM ROWS FROM (jsonb_to_recordset(CAST(:events AS jsonb)) AS (
            kind text, entity_type text, entity_id text, action text, audiences text[],
            at timestamptz)) WITH ORDINALITY
            AS new (kind, entity_type, entity_id, action, audiences, at, place)
        RETURNING event_offset
    )
    UPDATE realtime_stream SET head = (SELECT max(event_offset) FROM appended)"""

# One statement, one snapshot: what is forgotten meanwhile is not taken for nothing.
_STRETCH = """
    SELECT stream.epoch, stream.trimmed, events.*
    FROM realtime_stream AS stream LEFT JOIN realtime_events AS events
        ON events.event_offset > CAST(:after AS bigint)
        AND events.event_offset <= CAST(:until AS bigint)
    ORDER BY events.event_offset LIMIT :limit"""


@dataclass(frozen=True)
class Undispatched:
    """A row of the outbox that nobody was told of, and how long ago its transaction began."""

    outbox_id: int
    change: Change
    seconds: float


def lock(connection: Connection) -> int:
    """Have the stream for this transaction alone, once others are done; return its head.

    What they dispatched meanwhile is seen by the statements after this one, and not by this.
    """
    statement = select(realtime_stream.c.head).with_for_update()
    return int(connection.execute(statement).scalar_one())


def take(connection: Connection, batch: int) -> list[Undispatched]:
    """Return up to `batch` changes that were not dispatched, the oldest first. Needs `lock`."""
    told = change_log.c.entity.in_(sorted(TOLD))
    statement = (
        select(
            outbox.c.id,
            func.extract("epoch", func.clock_timestamp() - outbox.c.created_at).label("seconds"),
            change_log.c.entity,
            change_log.c.entity_id,
            change_log.c.action,
            change_log.c.changed,
            case((told, change_log.c.before)).label("before"),
            case((told, change_log.c.after)).label("after"),
            change_log.c.at,
        )
        .join(change_log, change_log.c.id == outbox.c.change_id)
        .where(outbox.c.dispatched_at.is_(None))
        .order_by(outbox.c.id)
        .limit(batch)
    )
    return [
        Undispatched(
            row["id"],
            Change(
                row["entity"],
                row["entity_id"],
                row["action"],
                frozenset(row["changed"] or ()),
                row["before"] or {},
                row["after"] or {},
                row["at"],
            ),
            float(row["seconds"]),
        )
        for row in connection.execute(statement).mappings()
    ]


def mark_dispatched(connection: Connection, outbox_ids: Sequence[int]) -> None:
    connection.execute(
        update(outbox)
        .where(outbox.c.id == any_(bindparam("ids", list(outbox_ids), ARRAY(BigInteger))))
        .values(dispatched_at=func.now())
    )


def append(connection: Connection, head: int, events: Sequence[NewEvent]) -> int:
    """Give events, at least one, the offsets after `head`; return the new head. Needs `lock`."""
    new = json.dumps(
        [
            {
                "kind": event.kind,
                "entity_type": event.entity_type,
                "entity_id": event.entity_id,
                "action": event.action,
                "audiences": event.audiences,
                "at": event.at.astimezone(UTC).isoformat(),
            }
            for event in events
        ]
    )
    connection.execute(text(_APPEND), {"head": head, "events": new})
    return head + len(events)


def want(connection: Connection, told: Collection[str], before: int, head: int) -> list[str]:
    """Owe what is after `before`, up to `head`, to each ready connection that is of `told`.

    Whoever was owed nothing was concerned by nothing up to `before`, and begins there. Some may be
    owed nothing that they may see. Whoever becomes ready locks the stream in share mode first, so
    that they either are ready for this or begin after `head`. Needs `lock`.

    Returns:
        The connections' ids.

    """
    mine = realtime_connections
    due = (
        select(mine.c.id)
        .where(mine.c.ready_at.is_not(None), concerned(told))
        # In one order, so that two who lock many never wait for each other.
        .order_by(mine.c.id)
        .with_for_update(key_share=True)
        .cte("due")
    )
    behind = mine.c.sent_offset < mine.c.wanted_offset
    owed = (
        update(mine)
        .where(mine.c.id == due.c.id)
        .values(
            sent_offset=case(
                (behind, mine.c.sent_offset), else_=func.greatest(mine.c.sent_offset, before)
            ),
            wanted_offset=head,
        )
    )
    return list(connection.scalars(owed.returning(mine.c.id)))


def connections_of(connection: Connection, session_ids: Collection[str]) -> list[str]:
    """Return the connections of sessions."""
    mine = realtime_connections
    ids = bindparam("sessions", [UUID(session_id) for session_id in session_ids], ARRAY(Uuid))
    return list(connection.scalars(select(mine.c.id).where(mine.c.session_id == any_(ids))))


def events_after(
    connection: Connection, viewer: Viewer, epoch: UUID | None, offset: int, limit: int
) -> Replay:
    """Return up to `limit` events after a position, 0 to `MAX_OFFSET`, that the viewer may see now.

    Whoever has no position yet, `epoch` None, is given the one of now.
    """
    stream, events = realtime_stream, realtime_events
    after = bindparam("after", offset, BigInteger)
    recovered = and_(
        stream.c.epoch == bindparam("epoch", epoch, Uuid),
        after.between(stream.c.trimmed, stream.c.head),
    )
    seen = (
        select(events)
        .where(
            recovered,
            events.c.event_offset > after,
            events.c.audiences.overlap(
                bindparam("audiences", sorted(viewer.audiences()), ARRAY(Text))
            ),
        )
        .order_by(events.c.event_offset)
        .limit(limit + 1)
        .lateral("seen")
    )
    rows = (
        connection.execute(
            select(
                stream.c.epoch,
                stream.c.head,
                func.coalesce(recovered, False).label("recovered"),
                *seen.c,
            )
            .select_from(stream.outerjoin(seen, true()))
            .order_by(seen.c.event_offset)
        )
        .mappings()
        .all()
    )
    found = _events(rows)
    more = len(found) > limit
    found = found[:limit]
    reached = found[-1].offset if more else rows[0]["head"]
    return Replay(Position(rows[0]["epoch"], reached), rows[0]["recovered"], more, found)


def stretch(connection: Connection, after: int, until: int, limit: int) -> Stretch:
    """Read what the stream still holds after one offset and up to another, `limit` at most."""
    values = {"after": after, "until": until, "limit": limit}
    rows = connection.execute(text(_STRETCH), values).mappings().all()
    found = _events(rows)
    return Stretch(
        epoch=rows[0]["epoch"],
        trimmed=rows[0]["trimmed"],
        until=found[-1].offset if len(found) == limit else until,
        events=found,
    )


def _events(rows: Iterable[RowMapping]) -> tuple[StreamEvent, ...]:
    """Return the events of rows, of which one without is the stream's alone."""
    return tuple(
        StreamEvent(
            kind=row["kind"],
            entity_type=row["entity_type"],
            entity_id=row["entity_id"],
            action=row["action"],
            audiences=tuple(row["audiences"]),
            at=row["at"],
            offset=row["event_offset"],
        )
        for row in rows
        if row["event_offset"] is not None
    )
