"""Every query about sessions."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    case,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from fieldgate.db.tables.identity import users
from fieldgate.db.tables.sessions import sessions
from identity.sessions import NewSession, RefreshToken, SessionSettings
from identity.store import User, user_columns, user_of


@dataclass(frozen=True)
class Refreshed:
    """Whose session it is, and whether it `ended` just now, as the token had been used before."""

    user: User
    ended: bool


def start_session(connection: Connection, user_id: UUID, session: NewSession) -> None:
    """Store a session that begins now."""
    connection.execute(
        insert(sessions).values(
            id=session.token.session_id,
            user_id=user_id,
            profile=session.profile,
            current_hash=session.token.hash,
            expires_at=func.now() + session.lifetime,
        )
    )


def refresh_session(
    connection: Connection, token: RefreshToken, settings: SessionSettings
) -> Refreshed | None:
    """Move a session on to the successor of `token`, when that is the current one.

    The one before it, within the time allowed, changes nothing. Any other has been used before,
    and ends the session. Returns None when there is no such session, alive and of an active user.
    """
    current = sessions.c.current_hash == token.hash
    reused = and_(
        sessions.c.previous_hash == token.hash,
        sessions.c.rotated_at > func.now() - settings.reuse_time,
    )
    lifetime = case(
        (sessions.c.profile == "mobile", settings.lifetime("mobile")),
        else_=settings.lifetime("web"),
    )
    ends = ~or_(current, func.coalesce(reused, False))

    def moved(column: str, value: Any) -> Any:
        return case((current, value), else_=sessions.c[column])

    row = (
        connection.execute(
            update(sessions)
            .where(
                sessions.c.id == token.session_id,
                _alive(),
                users.c.id == sessions.c.user_id,
                users.c.status == "active",
            )
            .values(
                current_hash=moved("current_hash", token.successor().hash),
                previous_hash=moved("previous_hash", token.hash),
                rotated_at=moved("rotated_at", func.now()),
                expires_at=moved("expires_at", func.now() + lifetime),
                ended_at=case((ends, func.now())),
                end_reason=case((ends, "replayed")),
            )
            .returning(sessions.c.ended_at.is_not(None).label("ended"), *user_columns())
        )
        .mappings()
        .one_or_none()
    )
    return Refreshed(user_of(row), row["ended"]) if row else None


def end_sessions(
    connection: Connection, user_id: UUID, reason: str, *, only: UUID | None = None
) -> list[UUID]:
    """End every session of a user, or `only` that one; return those that were alive.

    After the commit, `session_check.remember_ended` is to hear of them.
    """
    condition = and_(
        sessions.c.user_id == user_id,
        sessions.c.ended_at.is_(None),
        # A refresh that came in time may not be committed yet, and is to be waited for.
        sessions.c.expires_at > func.now() - timedelta(minutes=1),
    )
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


def _alive() -> ColumnElement[bool]:
    return and_(sessions.c.ended_at.is_(None), sessions.c.expires_at > func.now())
