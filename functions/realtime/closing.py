"""Ending connections of whom the server has nothing more to say to: a word, the end, the row.

Whoever asks for it may be wrong, or late: what the database says now is what counts.
"""

import time
from collections.abc import Collection

from fieldgate import deadline
from fieldgate.db.engine import Database
from fieldgate.errors import Unavailable
from fieldgate.observability import gauge
from realtime import fan_out_store, plain, signalr
from realtime.fan_out_store import Closing
from realtime.fanning_out import AGAIN_SECONDS, RELEASE_SECONDS, SENDING_SECONDS, forget
from realtime.posting import Poster, at_once


async def close(database: Database, poster: Poster, connections: Collection[str]) -> None:
    """Close those of these connections that are over; the client may come back with a new token.

    Raises:
        Unavailable: some could not be closed; come back for them.

    """
    ends = time.monotonic() + min(SENDING_SECONDS, deadline.seconds_left())
    closings = database.read(lambda c: fan_out_store.find_closing(c, connections))
    closed: set[str] = set()

    async def close_one(closing: Closing) -> None:
        left = ends - time.monotonic()
        if left > 0 and await _end(poster, closing, min(AGAIN_SECONDS, left)):
            closed.add(closing.id)

    try:
        await at_once(closings, close_one)
    finally:
        if closed:
            with deadline.within(RELEASE_SECONDS):
                forget(database, closed)
            gauge("ConnectionsClosed", len(closed))
    if left := len(closings) - len(closed):
        raise Unavailable(f"{left} connections could not be closed.")


async def _end(poster: Poster, closing: Closing, seconds: float) -> bool:
    """Say good-bye, which may fail, and end it; False when it may still be there."""
    if closing.dialect is not None and await poster.post(closing.id, good_bye(closing)) == "gone":
        return True
    return await poster.delete(closing.id, seconds) in {"delivered", "gone"}


def good_bye(closing: Closing) -> bytes:
    """Return the last frame; after it a client connects anew, and is let in or not."""
    if closing.dialect == "signalr":
        return signalr.close(allow_reconnect=True).encode()
    return plain.close(closing.reason, reconnect=True).encode()
