"""Every query about people's devices."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Select, bindparam, case, delete, func, text

from fieldgate.db.paging import newest_page, read_page
from fieldgate.db.tables.push import devices
from push.device_ages import STALE_AFTER

MOST_DEVICES = 20

# The user is locked before the session, as everywhere: their registrations come one after another.
# Then an end of the session that is on its way is waited for, and a later one finds the device.
# A device that was its owner's before changes in nothing that is recorded.
_REGISTER = """
    WITH owner AS (
        SELECT id FROM users WHERE id = :user_id AND status = 'active' FOR NO KEY UPDATE
    ),
    acting AS (
        SELECT session.id, session.user_id
        FROM owner JOIN sessions AS session ON session.user_id = owner.id
        WHERE session.id = :session_id AND ended_at IS NULL AND expires_at > now()
        FOR SHARE OF session
    )
    INSERT INTO devices AS known
        (user_id, session_id, token_hash, token, kind, platform, app_version, last_seen_at)
    SELECT user_id, id, :token_hash, :token, :kind, :platform, :app_version, clock_timestamp()
    FROM acting
    ON CONFLICT (token_hash) DO UPDATE SET
        user_id = excluded.user_id,
        session_id = excluded.session_id,
        kind = excluded.kind,
        platform = excluded.platform,
        app_version = excluded.app_version,
        created_at = CASE known.user_id WHEN excluded.user_id THEN known.created_at
            ELSE excluded.created_at END,
        last_seen_at = excluded.last_seen_at,
        disabled_at = NULL,
        disabled_reason = NULL
    RETURNING new.id, old.user_id IS DISTINCT FROM new.user_id AS is_new"""

# Those that somebody changes just now are left: they may be on their way to another owner.
_TRIM = """
    DELETE FROM devices WHERE id = ANY (ARRAY(
        SELECT id FROM devices
        WHERE user_id = :user_id AND id IN (
            SELECT id FROM devices WHERE user_id = :user_id AND id <> :kept
            ORDER BY last_seen_at DESC, id DESC OFFSET :others)
        FOR UPDATE SKIP LOCKED))"""

_COLUMNS = ("id", "platform", "kind", "app_version", "created_at", "last_seen_at")


@dataclass(frozen=True)
class Device:
    """A device as its owner sees it; `state` is `active`, `stale` or `disabled`."""

    id: UUID
    platform: str
    kind: str
    app_version: str | None
    created_at: datetime
    last_seen_at: datetime
    state: str


@dataclass(frozen=True)
class Registered:
    """A device that was registered, and whether it `is_new` to its owner."""

    id: UUID
    is_new: bool


def register(connection: Connection, values: Mapping[str, Any]) -> Registered | None:
    """Give the device that has a token to a user and their session; it is seen now, and enabled.

    `values` are those of its row. Returns None when the user isn't active, or the session not alive
    and theirs. When it is new, `remove_surplus` is to follow.
    """
    row = connection.execute(text(_REGISTER), values).mappings().one_or_none()
    return Registered(**row) if row else None


def remove_surplus(connection: Connection, user_id: UUID, kept: UUID) -> None:
    """Remove the user's devices beyond `MOST_DEVICES` not seen for longest, and never `kept`."""
    values = {"user_id": user_id, "kept": kept, "others": MOST_DEVICES - 1}
    connection.execute(text(_TRIM), values)


def find_page(
    connection: Connection, user_id: UUID, limit: int, offset: int
) -> tuple[list[Device], int]:
    """Return one page of a user's devices, newest first, and how many they have: one round trip."""
    rows, total = read_page(connection, _page(), limit=limit, offset=offset, user_id=user_id)
    found = [{name: row[name] for name in Device.__dataclass_fields__} for row in rows]
    return [Device(**values) for values in found], total


def remove(connection: Connection, device_id: UUID, user_id: UUID) -> bool:
    """Remove a device of a user; False when they have no such device."""
    removed = connection.scalar(
        delete(devices)
        .where(devices.c.id == device_id, devices.c.user_id == user_id)
        .returning(devices.c.id)
    )
    return removed is not None


@cache
def _page() -> Select[Any]:
    state = case(
        (devices.c.disabled_at.is_not(None), "disabled"),
        (devices.c.last_seen_at <= func.now() - STALE_AFTER, "stale"),
        else_="active",
    )
    columns = [*(devices.c[name] for name in _COLUMNS), state.label("state")]
    return newest_page(devices, columns, devices.c.user_id == bindparam("user_id"))
