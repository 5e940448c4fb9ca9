"""Ending sessions because their user says so."""

from uuid import UUID

from fieldgate import request_id
from fieldgate.db.engine import Database
from identity import session_check, session_store


def sign_out(database: Database, user_id: UUID, session_id: UUID | None) -> None:
    """End that session of the user, or with None all they have; none of it may be alive still."""
    ended = database.transact(
        lambda connection: session_store.end_sessions(
            connection, user_id, "logged_out", only=session_id
        ),
        actor=str(user_id),
        request_id=request_id.current(),
    )
    session_check.remember_ended(ended)
