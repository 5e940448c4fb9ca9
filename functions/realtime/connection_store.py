"""Every query of who is connected, and what they subscribed to."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Connection, Row, text

from realtime.audiences import MAX_CHANNELS, Viewer
from realtime.events import Position
from realtime.frames import Dialect
from realtime.membership import IS_GOOD, LIVING_SESSIONS

# Sign-ins are 20 at most (identity.session_store), each with a connection and, after a lost
# network, one or two that nobody noticed the end of yet.
MAX_CONNECTIONS = 50

# Locked in share mode: who ends the session (a logout, a block) waits and then finds the
# connection, or was first, and then is waited for and there is none.
_ADD = f"""
    WITH acting AS (
        SELECT sessions.user_id FROM {LIVING_SESSIONS}
        WHERE sessions.id = :session_id AND sessions.user_id = :user_id
        FOR SHARE OF sessions
    ),
    others AS (
        SELECT count(*) AS number FROM realtime_connections
        WHERE user_id = :user_id AND id <> :id
    ),
    added AS (
        INSERT INTO realtime_connections (id, user_id, session_id, token_expires_at)
        SELECT :id, user_id, :session_id, :token_expires_at
        FROM acting CROSS JOIN others WHERE number < :most
        ON CONFLICT (id) DO UPDATE SET token_expires_at = excluded.token_expires_at
            WHERE realtime_connections.session_id = excluded.session_id
        RETURNING id
    )
    SELECT EXISTS (SELECT FROM added) AS added,
        EXISTS (SELECT FROM acting) AND (SELECT number FROM others) >= :most AS too_many"""  # noqa: S608

_COLUMNS = """
        user_id, channels, dialect, ready_at IS NOT NULL OR handshake_at IS NOT NULL AS begun,
        ARRAY(SELECT role FROM user_roles
            WHERE user_roles.user_id = realtime_connections.user_id) AS roles,
        ARRAY(SELECT DISTINCT permission FROM role_permissions JOIN user_roles USING (role)
            WHERE user_roles.user_id = realtime_connections.user_id) AS permissions"""
_FIND = f"SELECT {_COLUMNS} FROM realtime_connections WHERE id = :id AND {IS_GOOD}"  # noqa: S608

# So that of two handshakes one is answered, and what the client sends at once after it got the
# answer isn't taken for something that came before. A run that dies then leaves a connection that
# never becomes ready, which the sweep closes.
_BEGIN_HANDSHAKE = f"""
    UPDATE realtime_connections SET handshake_at = now()
    WHERE id = :id AND ready_at IS NULL AND handshake_at IS NULL AND {IS_GOOD}
    RETURNING id"""  # noqa: S608 made of constants

# The stream stands still meanwhile: what is dispatched before isn't owed, what comes after is.
_MAKE_READY = f"""
    WITH stream AS (SELECT epoch, head FROM realtime_stream FOR SHARE)
    UPDATE realtime_connections
    SET ready_at = now(), dialect = :dialect,
        sent_offset = stream.head, wanted_offset = stream.head
    FROM stream
    WHERE id = :id AND ready_at IS NULL AND {IS_GOOD}
    RETURNING {_COLUMNS}, stream.epoch, stream.head"""  # noqa: S608 made of constants

_FOLLOW = """
    UPDATE realtime_connections
    SET channels = ARRAY(SELECT DISTINCT unnest(channels || CAST(:names AS text[])) ORDER BY 1)
    WHERE id = :id AND :most >= (
        SELECT count(DISTINCT name) FROM unnest(channels || CAST(:names AS text[])) AS name)
    RETURNING channels"""
_UNFOLLOW = """
    UPDATE realtime_connections
    SET channels = ARRAY(
        SELECT name FROM unnest(channels) AS name
        WHERE name <> ALL (CAST(:names AS text[])) ORDER BY name)
    WHERE id = :id
    RETURNING channels"""

# Locked in the order of their ids, as everywhere.
_DROP = """
    WITH gone AS (
        SELECT id FROM realtime_connections WHERE id = ANY (CAST(:ids AS text[]))
        ORDER BY id FOR UPDATE
    )
    DELETE FROM realtime_connections USING gone WHERE realtime_connections.id = gone.id"""


@dataclass(frozen=True)
class NewConnection:
    """Who is at the other end, by the claims that the authorizer found good."""

    id: str
    user_id: UUID
    session_id: UUID
    token_expires_at: datetime


@dataclass(frozen=True)
class Connected:
    """A connection whose session is alive, as it is now.

    It has `begun` when its handshake is answered, or just being answered.
    """

    id: str
    viewer: Viewer
    dialect: Dialect | None
    begun: bool


def add(connection: Connection, new: NewConnection) -> Literal["added", "refused", "too_many"]:
    """Note a connection whose session is alive, unless its user has `MAX_CONNECTIONS` others.

    Those who connect at the same moment don't see each other: a few more may get by. A connection
    that is there already, of the same session, is added once more without a change.
    """
    found = connection.execute(text(_ADD), vars(new) | {"most": MAX_CONNECTIONS}).one()
    if found.added:
        return "added"
    return "too_many" if found.too_many else "refused"


def drop(connection: Connection, ids: Collection[str]) -> None:
    """Forget connections that are gone: their ids never come back."""
    connection.execute(text(_DROP), {"ids": list(ids)})


def find(connection: Connection, connection_id: str) -> Connected | None:
    """Return a connection; None when there is none, or when it has no right to be there."""
    row = connection.execute(text(_FIND), {"id": connection_id}).one_or_none()
    return _connected(connection_id, row) if row else None


def begin_handshake(connection: Connection, connection_id: str) -> bool:
    """Take it upon this run to answer the handshake; False when there is nothing to answer."""
    return connection.scalar(text(_BEGIN_HANDSHAKE), {"id": connection_id}) is not None


def make_ready(
    connection: Connection, connection_id: str, dialect: Dialect
) -> tuple[Connected, Position] | None:
    """Let events be sent from now on, which is after the position returned.

    It waits until what is just being dispatched is. None when it was ready already, or as `find`.
    """
    values = {"id": connection_id, "dialect": dialect}
    row = connection.execute(text(_MAKE_READY), values).one_or_none()
    return (_connected(connection_id, row), Position(row.epoch, row.head)) if row else None


def follow(connection: Connection, connection_id: str, names: list[str]) -> list[str] | None:
    """Subscribe to channels as well; return all, or None if they were more than `MAX_CHANNELS`."""
    values = {"id": connection_id, "names": names, "most": MAX_CHANNELS}
    channels: list[str] | None = connection.scalar(text(_FOLLOW), values)
    return channels


def unfollow(connection: Connection, connection_id: str, names: list[str]) -> list[str]:
    """End subscriptions, as far as there are such; return those that are left."""
    values = {"id": connection_id, "names": names}
    channels: list[str] | None = connection.scalar(text(_UNFOLLOW), values)
    return channels or []


def _connected(connection_id: str, row: Row[Any]) -> Connected:
    viewer = Viewer(row.user_id, row.roles, frozenset(row.permissions), row.channels)
    return Connected(connection_id, viewer, row.dialect, row.begun)
