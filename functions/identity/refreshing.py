"""Moving a session on to its next refresh token."""

from fieldgate import request_id
from fieldgate.db.engine import Database
from fieldgate.errors import Unauthorized
from fieldgate.observability import count, logger
from fieldgate.settings import load
from identity import session_check, session_store
from identity.sessions import RefreshToken, SessionSettings
from identity.store import User


def refresh(database: Database, token: RefreshToken) -> tuple[User, RefreshToken]:
    """Return the session's user, as they are now, and the successor of `token`.

    Requests with the same token, at once or within REFRESH_REUSE_SECONDS, get the same successor.
    An older token was copied by somebody: the session ends (RFC 9700, section 4.14.2). Two round
    trips.

    Raises:
        Unauthorized: the session has ended, now or before, or its user is not active.

    """
    settings = load(SessionSettings)
    refreshed = database.transact(
        lambda connection: session_store.refresh_session(connection, token, settings),
        request_id=request_id.current(),
    )
    # Refused after the commit, as the end of the session must stay.
    if refreshed and refreshed.ended:
        session_check.remember_ended([token.session_id])
        count("RefreshReplayed")
        logger().warning(
            "refresh token used again: session ended",
            extra={"session_id": token.session_id, "user_id": refreshed.user.id},
        )
    if refreshed is None or refreshed.ended:
        raise Unauthorized("The session has ended. Please sign in again.")
    return refreshed.user, token.successor()
