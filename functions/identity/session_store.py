"""Every query about sessions."""

from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    Interval,
    LargeBinary,
    Update,
    and_,
    bindparam,
    case,
    exists,
    func,
    or_,
    select,
    text,
    update,
)

from fieldgate.db.tables.identity import users
from fieldgate.db.tables.sessions import sessions
from identity.sessions import NewSession, RefreshToken, SessionSettings
from identity.store import User, user_columns, user_of

# More than anybody has devices, and few enough to end them all in one statement.
MAX_ALIVE = 20

# Parts of a statement that has `beginning` before them: whose session begins, and the profile. The
# oldest beyond MAX_ALIVE end; those at which somebody is just now are left to the next sign-in.
STARTED = f"""
    crowded_out AS (
        UPDATE sessions SET ended_at = now(), end_reason = 'crowded_out'
        WHERE id = ANY (ARRAY(
            SELECT id FROM sessions
            WHERE ended_at IS NULL AND id IN (
                SELECT id FROM sessions
                WHERE user_id = (SELECT user_id FROM beginning)
                    AND ended_at IS NULL AND expires_at > now()
                ORDER BY created_at DESC, id DESC OFFSET {MAX_ALIVE - 1})
            FOR UPDATE SKIP LOCKED))
    ),
    started AS (
        INSERT INTO sessions (id, user_id, profile, current_hash, expires_at)
        SELECT CAST(:session_id AS uuid), user_id, profile, CAST(:token_hash AS bytea),
            now() + CASE profile WHEN 'mobile' THEN CAST(:mobile_lifetime AS interval)
                ELSE CAST(:web_lifetime AS interval) END
        FROM beginning
    )"""  # noqa: S608 made of constants
_START = f"""
    WITH beginning AS (
        SELECT CAST(:user_id AS uuid) AS user_id, coalesce(CAST(:profile AS text), 'web') AS profile
    ),
    {STARTED}
    SELECT"""

# A refresh that came in time may not be committed yet, and is to be waited for.
TO_BE_ENDED = """sessions.ended_at IS NULL
            AND sessions.expires_at > now() - interval '1 minute'"""


@dataclass(frozen=True)
class Refreshed:
    """Whose session it is, and whether it `ended` just now, as the token had been used before."""

    user: User
    ended: bool


def start_session(connection: Connection, user_id: UUID, session: NewSession) -> None:
    """Store a session that begins now; the user's oldest end where there are too many.

    The user is to be locked before, as rows are in one order everywhere: user, session.
    """
    connection.execute(text(_START), start_parameters(session) | {"user_id": user_id})


def start_parameters(session: NewSession) -> dict[str, Any]:
    """Return what `STARTED` needs, and `profile`."""
    return {
        "session_id": session.token.session_id,
        "token_hash": session.token.hash,
        "profile": session.profile,
        "web_lifetime": session.settings.lifetime("web"),
        "mobile_lifetime": session.settings.lifetime("mobile"),
    }


def refresh_session(
    connection: Connection, token: RefreshToken, settings: SessionSettings
) -> Refreshed | None:
    """Move a session on to the successor of `token`, when that is the current one.

    The one before it, within the time allowed, changes nothing. Any other has been used before,
    and ends the session. Returns None when there is no such session, alive and of an active user.
    """
    values = {
        "session_id": token.session_id,
        "hash": token.hash,
        "successor_hash": token.successor().hash,
        "reuse_time": settings.reuse_time,
        "web_lifetime": settings.lifetime("web"),
        "mobile_lifetime": settings.lifetime("mobile"),
    }
    row = connection.execute(_refresh(), values).mappings().one_or_none()
    return Refreshed(user_of(row), row["ended"]) if row else None


@cache
def _refresh() -> Update:
    """Return the statement of `refresh_session`: building it costs more than running it."""
    given = bindparam("hash", type_=LargeBinary)
    current = sessions.c.current_hash == given
    reused = and_(
        sessions.c.previous_hash == given,
        sessions.c.rotated_at > func.now() - bindparam("reuse_time", type_=Interval),
    )
    lifetime = case(
        (sessions.c.profile == "mobile", bindparam("mobile_lifetime", type_=Interval)),
        else_=bindparam("web_lifetime", type_=Interval),
    )
    ends = ~or_(current, func.coalesce(reused, False))

    def moved(column: str, value: Any) -> Any:
        return case((current, value), else_=sessions.c[column])

    return (
        update(sessions)
        .where(
            sessions.c.id == bindparam("session_id"),
            _alive(),
            users.c.id == sessions.c.user_id,
            users.c.status == "active",
        )
        .values(
            current_hash=moved("current_hash", bindparam("successor_hash", type_=LargeBinary)),
            previous_hash=moved("previous_hash", given),
            rotated_at=moved("rotated_at", func.now()),
            expires_at=moved("expires_at", func.now() + lifetime),
            ended_at=case((ends, func.now())),
            end_reason=case((ends, "replayed")),
        )
        .returning(sessions.c.ended_at.is_not(None).label("ended"), *user_columns())
    )


def end_sessions(
    connection: Connection, user_id: UUID, reason: str, *, only: UUID | None = None
) -> list[UUID]:
    """End every session of a user, or `only` that one; return those that were alive.

    After the commit, `session_check.remember_ended` is to hear of them.
    """
    condition = and_(sessions.c.user_id == user_id, text(TO_BE_ENDED))
    if only is not None:
        condition = and_(condition, sessions.c.id == only)
    ended = connection.scalars(
        update(sessions)
        .where(condition)
        .values(ended_at=func.now(), end_reason=reason)
        .returning(sessions.c.id)
    )
    return list(ended)


def find_with_session(
    connection: Connection, user_id: UUID, session_id: UUID
) -> tuple[User | None, bool]:
    """Return a user, and whether that session of theirs is alive: one round trip for both."""
    alive = exists().where(sessions.c.id == session_id, sessions.c.user_id == users.c.id, _alive())
    row = (
        connection.execute(
            select(alive.label("alive"), *user_columns()).where(users.c.id == user_id)
        )
        .mappings()
        .one_or_none()
    )
    return (user_of(row), row["alive"]) if row else (None, False)


def set_two_factor(
    connection: Connection, user_id: UUID, session_id: UUID, *, enabled: bool
) -> User | None:
    """Return the user with the choice; None when they are not active or the session has ended."""
    owner = (
        select(users.c.id)
        .where(users.c.id == user_id, users.c.status == "active")
        .with_for_update(key_share=True)
        .cte("owner")
    )
    # Locked after the user, as where sessions end: who ended it meanwhile was waited for.
    acting = (
        select(sessions.c.user_id)
        .where(sessions.c.id == session_id, sessions.c.user_id == owner.c.id, _alive())
        .with_for_update(read=True, of=sessions)
        .cte("acting")
    )
    row = (
        connection.execute(
            update(users)
            .where(users.c.id == acting.c.user_id)
            .values(two_factor_enabled=enabled)
            .returning(*user_columns())
        )
        .mappings()
        .one_or_none()
    )
    return user_of(row) if row else None


def _alive() -> ColumnElement[bool]:
    return and_(sessions.c.ended_at.is_(None), sessions.c.expires_at > func.now())
