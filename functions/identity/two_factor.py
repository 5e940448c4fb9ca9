"""Choosing to sign in with a code besides the password, or no longer."""

from uuid import UUID

from sqlalchemy import Connection

from fieldgate import request_id
from fieldgate.db.engine import Database
from fieldgate.errors import BusinessRule, Unauthorized
from identity import session_store
from identity.store import User


def choose(database: Database, user_id: UUID, session_id: UUID, *, enabled: bool) -> User:
    """Store the choice and return the user with it.

    Raises:
        BusinessRule: there is no phone to send a code to.
        Unauthorized: the session has ended, or the user is not active.

    """

    def work(connection: Connection) -> User:
        user = session_store.set_two_factor(connection, user_id, session_id, enabled=enabled)
        if user is None:
            raise Unauthorized("The session has ended.")
        if enabled and user.phone is None:
            raise BusinessRule("A second factor needs a phone.", code="PHONE_NEEDED")
        return user

    return database.transact(work, actor=str(user_id), request_id=request_id.current())
