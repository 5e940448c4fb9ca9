"""Speaking to a connection past the answer to its frame: what comes before it, and the end."""

from fieldgate import deadline
from fieldgate.errors import ConfigurationError, Unavailable
from fieldgate.observability import logger

# Besides the time that the frame had: also what took too long is to be told.
END_SECONDS = 3


def say(connection_id: str, frame: str) -> None:
    """Send a frame now; raises what `ConnectionsApi.post` does."""
    from realtime.connections_api import connections_api

    connections_api().post(connection_id, frame)


def end(connection_id: str, last_frame: str = "") -> str:
    """Send a last frame, if there is one, close the connection and forget it.

    A row that stays, because something is down, is found by the sweep.

    Returns:
        What is still to be sent: the frame, when that was not taken.

    """
    from realtime.connections_api import ConnectionGone, connections_api

    left = ""
    with deadline.within(END_SECONDS):
        try:
            left = _left(connection_id, last_frame) if last_frame else ""
            connections_api().close(connection_id)
        except ConnectionGone:
            pass
        except (Unavailable, ConfigurationError):
            logger().warning(
                "connection not closed", exc_info=True, extra={"connection_id": connection_id}
            )
            return last_frame
        forget(connection_id)
    return left


def _left(connection_id: str, last_frame: str) -> str:
    try:
        say(connection_id, last_frame)
    except Unavailable:
        return last_frame
    return ""


def forget(connection_id: str) -> bool:
    """Delete the row of a connection that is gone; False leaves it to the sweep."""
    from fieldgate.db.engine import database
    from realtime import connection_store

    try:
        database().transact(lambda connection: connection_store.drop(connection, [connection_id]))
    except (Unavailable, ConfigurationError):
        logger().warning("connection not forgotten", exc_info=True)
        return False
    return True
