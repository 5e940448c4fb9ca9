"""Every query about what is to be pushed, to which phones, and what became of it.

A recipient that is queued is due at a time. Whoever takes it moves that time beyond their own end,
so what a killed worker took is due again by itself, and nobody else takes it before.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, exists, func, select, text

from fieldgate.db.tables.push import notification_recipients, notifications
from fieldgate.push import AddressKind
from push.device_ages import STALE_AFTER

# A little more than the time-out of the function that sends: then it is gone.
LEASE = timedelta(seconds=100)
# What is counted for the badge on an app's icon: nobody reads four digits there.
MOST_UNREAD = 999

_TAKE = """
    WITH due AS (
        SELECT notification_id, user_id FROM notification_recipients
        WHERE state = 'queued' AND due_at <= now()
        ORDER BY due_at LIMIT :batch FOR UPDATE SKIP LOCKED
    ),
    taken AS (
        UPDATE notification_recipients AS recipient
        SET due_at = now() + CAST(:lease AS interval), attempts = attempts + 1
        FROM due
        WHERE recipient.notification_id = due.notification_id
            AND recipient.user_id = due.user_id
        RETURNING recipient.*
    )
    SELECT taken.notification_id, taken.user_id, taken.attempts, taken.sent,
        now() AS now, now() - taken.created_at AS age, taken.read_at IS NOT NULL AS is_read,
        notification.kind, title, body, data, collapse_key,
        coalesce(notification.kind = ANY (muted), false) AS is_muted,
        quiet_from, quiet_to, time_zone,
        (SELECT count(*) FROM (SELECT FROM notification_recipients AS unread
            WHERE unread.user_id = taken.user_id AND unread.read_at IS NULL
            LIMIT :most_unread) AS counted) AS unread,
        (SELECT coalesce(jsonb_agg(jsonb_build_array(id, encode(token, 'escape'), devices.kind)),
                '[]')
            FROM devices
            WHERE devices.user_id = taken.user_id AND disabled_at IS NULL
                AND last_seen_at > now() - CAST(:stale_after AS interval)
                AND id <> ALL (done_devices)) AS devices
    FROM taken
    JOIN notifications AS notification ON notification.id = taken.notification_id
    LEFT JOIN notification_preferences AS preferences ON preferences.user_id = taken.user_id"""

# Unless somebody else has taken it since: then theirs counts.
_RECORD = """
    UPDATE notification_recipients AS recipient SET
        state = new.state,
        reason = new.reason,
        done_devices = recipient.done_devices || new.done_devices,
        sent = recipient.sent + new.newly_sent,
        attempts = recipient.attempts - CAST(NOT new.counts AS integer),
        due_at = CASE WHEN new.due_at IS NULL
            THEN now() + make_interval(secs => new.pause) ELSE new.due_at END,
        finished_at = CASE WHEN new.state <> 'queued' THEN now() END
    FROM jsonb_to_recordset(CAST(:outcomes AS jsonb)) AS new (
        notification_id uuid, user_id uuid, attempts integer, state text, reason text,
        done_devices uuid[], newly_sent integer, counts boolean, due_at timestamptz,
        pause double precision)
    WHERE recipient.notification_id = new.notification_id AND recipient.user_id = new.user_id
        AND recipient.state = 'queued' AND recipient.attempts = new.attempts"""

# Unless the app has registered again since, which it does with what it has. One that somebody holds
# is about to be registered or removed; if it is neither, the next push says so again.
_DISABLE = """
    UPDATE devices SET disabled_at = now(), disabled_reason = gone.reason
    FROM (
        SELECT devices.id, new.reason
        FROM jsonb_to_recordset(CAST(:devices AS jsonb)) AS new (
            id uuid, user_id uuid, taken_at timestamptz, reason text)
        JOIN devices ON devices.id = new.id AND devices.user_id = new.user_id
        WHERE disabled_at IS NULL AND last_seen_at <= new.taken_at
        FOR UPDATE OF devices SKIP LOCKED
    ) AS gone
    WHERE devices.id = gone.id"""


@dataclass(frozen=True)
class Device:
    """A phone as it is stored; `token` is encrypted."""

    id: UUID
    token: bytes
    kind: AddressKind


@dataclass(frozen=True)
class Taken:
    """A recipient that is ours to push to, for `LEASE` at most; `devices` are those to do."""

    notification_id: UUID
    user_id: UUID
    attempts: int
    sent: int
    now: datetime
    age: timedelta
    is_read: bool
    kind: str
    title: str
    body: str
    data: Mapping[str, str]
    collapse_key: str
    is_muted: bool
    quiet_from: time | None
    quiet_to: time | None
    time_zone: str | None
    unread: int
    devices: Sequence[Device]


@dataclass(frozen=True)
class Waiting:
    """What there is to do: of which notifications recipients are left to write down, who is due.

    `unexpanded` has the oldest first.
    """

    unexpanded: Sequence[UUID]
    is_due: bool


def find_waiting(connection: Connection, limit: int) -> Waiting:
    """Say what there is to do, of notifications up to `limit`: one round trip."""
    mine = notification_recipients.c
    due = exists().where(mine.state == "queued", mine.due_at <= func.now())
    ids = (
        select(notifications.c.id)
        .where(notifications.c.expanded_at.is_(None))
        .order_by(notifications.c.id)
        .limit(limit)
    )
    row = connection.execute(select(func.array(ids.scalar_subquery()), due)).one()
    return Waiting(*row)


def take(connection: Connection, batch: int) -> list[Taken]:
    """Take up to `batch` recipients that are due, those that have waited longest."""
    values = {
        "batch": batch,
        "lease": LEASE,
        "stale_after": STALE_AFTER,
        "most_unread": MOST_UNREAD,
    }
    return [
        Taken(**(dict(row) | {"devices": [_device(*found) for found in row["devices"]]}))
        for row in connection.execute(text(_TAKE), values).mappings()
    ]


def record(
    connection: Connection,
    outcomes: Sequence[Mapping[str, Any]],
    disabled: Sequence[Mapping[str, Any]],
) -> None:
    """Note what became of recipients, and which devices are no more: a round trip for each."""
    connection.execute(text(_RECORD), {"outcomes": json.dumps(outcomes, default=str)})
    if disabled:
        connection.execute(text(_DISABLE), {"devices": json.dumps(disabled, default=str)})


def _device(device_id: str, token: str, kind: AddressKind) -> Device:
    return Device(UUID(device_id), token.encode(), kind)
