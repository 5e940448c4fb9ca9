"""Every query of the workers that speak to connections.

Rows are locked in the order of their ids, as everywhere.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from sqlalchemy import Connection, RowMapping, text

from realtime.audiences import Viewer
from realtime.fan_out_queue import pause_seconds
from realtime.frames import Dialect
from realtime.membership import IS_DUE, IS_GOOD, IS_OVER, IS_SOMEBODYS

# More than a run posts for (fanning_out.SENDING_SECONDS) with all that follows: then it is gone.
LEASE = timedelta(seconds=30)
# A run that is well has released what it leased so long ago, or will fail itself.
SOON = timedelta(seconds=8)
# Until the handshake of a WebSocket is done, API Gateway says of it that it is gone.
OPENING = timedelta(seconds=30)

type Reason = Literal["session_ended", "token_expired", "not_ready"]

# Reading and writing arrays takes pg8000 a third of what a post takes, so they travel as texts.
_IDS = "ARRAY(SELECT jsonb_array_elements_text(CAST(:ids AS jsonb)))"

_CLAIM = text(f"""
    WITH free AS (
        SELECT id FROM realtime_connections
        WHERE id = ANY ({_IDS}) AND {IS_DUE} AND {IS_GOOD}
        ORDER BY id FOR UPDATE
    )
    UPDATE realtime_connections SET leased_until = now() + CAST(:lease AS interval)
    FROM free WHERE realtime_connections.id = free.id
    RETURNING realtime_connections.id, user_id, dialect, sent_offset, wanted_offset, tries,
        CAST(leased_until AS text), array_to_string(channels, ' ') AS channels,
        (SELECT string_agg(role, ' ') FROM user_roles
            WHERE user_roles.user_id = realtime_connections.user_id) AS roles,
        (SELECT string_agg(DISTINCT permission, ' ')
            FROM user_roles JOIN role_permissions USING (role)
            WHERE user_roles.user_id = realtime_connections.user_id) AS permissions""")  # noqa: S608

_HELD_FOR_LONG = text(f"""
    SELECT EXISTS (SELECT FROM realtime_connections
        WHERE id = ANY ({_IDS}) AND wanted_offset > sent_offset
            AND leased_until BETWEEN now() AND now() + CAST(:left AS interval))""")  # noqa: S608

# A little less than the message that asks again is delayed by, which is not to come too early.
_RELEASE = text("""
    WITH ours AS (
        SELECT given.* FROM realtime_connections
        JOIN jsonb_to_recordset(CAST(:given AS jsonb))
            AS given (id text, until bigint, tries smallint, pause integer)
            ON given.id = realtime_connections.id
        WHERE leased_until = CAST(:leased_until AS timestamptz)
        ORDER BY realtime_connections.id FOR UPDATE OF realtime_connections
    )
    UPDATE realtime_connections SET sent_offset = ours.until, leased_until = NULL,
        tries = ours.tries,
        retry_at = now() + interval '1 second' * ours.pause - interval '0.5 seconds'
    FROM ours WHERE realtime_connections.id = ours.id
    RETURNING realtime_connections.id, wanted_offset""")

_TO_CLOSE = text(f"""
    SELECT id, dialect,
        CASE WHEN NOT {IS_SOMEBODYS} THEN 'session_ended'
            WHEN token_expires_at <= now() THEN 'token_expired' ELSE 'not_ready' END AS reason,
        ready_at IS NULL AND connected_at > now() - CAST(:opening AS interval) AS may_be_opening
    FROM realtime_connections
    WHERE id = ANY ({_IDS}) AND {IS_OVER}
    ORDER BY id""")  # noqa: S608 made of constants


@dataclass(frozen=True)
class Mailbox:
    """A connection that is owed the events after `sent`, up to `wanted`; whose it is, as of now.

    In so many `tries` before it took nothing.
    """

    id: str
    dialect: Dialect
    viewer: Viewer
    sent: int
    wanted: int
    tries: int = 0


@dataclass(frozen=True)
class Claim:
    """Mailboxes that one run has for itself until `leased_until`, by which it is known."""

    mailboxes: Sequence[Mailbox]
    leased_until: str


@dataclass(frozen=True)
class Closing:
    """A connection that is to be closed; without a `dialect` it has said nothing yet.

    While it `may_be_opening`, API Gateway's word that it is gone is not to be believed.
    """

    id: str
    dialect: Dialect | None
    reason: Reason
    may_be_opening: bool


def claim(connection: Connection, ids: Collection[str]) -> Claim | None:
    """Take, of these connections, those that are owed something and may be sent it, for `LEASE`.

    Returns None when there are none: others have them, or they are to be closed.
    """
    rows = connection.execute(_CLAIM, {"ids": _json(ids), "lease": LEASE}).mappings().all()
    if not rows:
        return None
    return Claim([_mailbox(row) for row in rows], rows[0]["leased_until"])


def is_held_for_long(connection: Connection, ids: Collection[str]) -> bool:
    """Say whether a run holds one of these for so long that it may be dead."""
    return bool(connection.scalar(_HELD_FOR_LONG, {"ids": _json(ids), "left": LEASE - SOON}))


def release(
    connection: Connection,
    claimed: Claim,
    sent: Mapping[str, int],
    tries: Mapping[str, int],
) -> set[str]:
    """Give mailboxes back, each with how far it was sent; those of another run by now are left.

    Who took nothing had so many `tries` by now, and is left alone until the next.

    Returns the ids of those to which more is owed than when they were claimed.
    """
    given = [
        {
            "id": name,
            "until": until,
            "tries": tries.get(name, 0),
            "pause": pause_seconds(tries[name]) if name in tries else None,
        }
        for name, until in sent.items()
    ]
    values = {"given": json.dumps(given), "leased_until": claimed.leased_until}
    wanted = {row.id: row.wanted_offset for row in connection.execute(_RELEASE, values)}
    return {
        mailbox.id
        for mailbox in claimed.mailboxes
        if wanted.get(mailbox.id, mailbox.wanted) > mailbox.wanted
    }


def find_closing(connection: Connection, ids: Collection[str]) -> list[Closing]:
    """Return which of these connections are to be closed, whatever whoever asked believed."""
    rows = connection.execute(_TO_CLOSE, {"ids": _json(ids), "opening": OPENING})
    return [Closing(**row) for row in rows.mappings()]


def _json(ids: Collection[str]) -> str:
    return json.dumps(list(ids))


def _mailbox(row: RowMapping) -> Mailbox:
    roles, permissions, channels = (
        (row[name] or "").split() for name in ("roles", "permissions", "channels")
    )
    viewer = Viewer(row["user_id"], roles, frozenset(permissions), channels)
    return Mailbox(
        row["id"],
        row["dialect"],
        viewer,
        sent=row["sent_offset"],
        wanted=row["wanted_offset"],
        tries=row["tries"],
    )
