"""Ending connections of whom the server has nothing more to say to: a word, the end, the row.

Whoever asks for it may be wrong, or late: what the database says now is what counts.
"""

import time

from fieldgate import deadline
from fieldgate.db.engine import Database
from fieldgate.observability import gauge, logger
from realtime import fan_out_queue, fan_out_store, plain, signalr
from realtime.fan_out_queue import Work
from realtime.fan_out_store import Closing
from realtime.fanning_out import RELEASE_SECONDS, SENDING_SECONDS, forget
from realtime.posting import Outcome, Poster, at_once


async def close(database: Database, poster: Poster, work: Work) -> list[Work]:
    """Close those of these connections that are over; the client may come back with a new token.

    Returns what is to be asked for, as some could not be closed now. Who is not in it and still
    there, the sweep finds.
    """
    ends = time.monotonic() + min(SENDING_SECONDS, deadline.seconds_left())
    closings = database.read(lambda c: fan_out_store.find_closing(c, work.connections))
    closed: set[str] = set()
    tries: dict[str, int] = {}

    async def close_one(closing: Closing) -> None:
        if time.monotonic() >= ends:
            tries[closing.id] = 1
            return
        outcome = await _end(poster, closing)
        if outcome == "passing":
            tries[closing.id] = work.tries + 1
        elif outcome == "delivered" or (outcome == "gone" and not closing.may_be_opening):
            closed.add(closing.id)

    try:
        await at_once(closings, close_one)
    finally:
        if closed:
            with deadline.within(RELEASE_SECONDS):
                forget(database, closed)
            gauge("ConnectionsClosed", len(closed))
    if left := len(closings) - len(closed):
        logger().warning("connections not closed", extra={"connections": left})
    return fan_out_queue.again("close", tries)


async def _end(poster: Poster, closing: Closing) -> Outcome:
    """Say good-bye, which may fail, and end it."""
    if closing.dialect is not None and await poster.post(closing.id, good_bye(closing)) == "gone":
        return "gone"
    return await poster.delete(closing.id)


def good_bye(closing: Closing) -> bytes:
    """Return the last frame; after it a client connects anew, and is let in or not."""
    if closing.dialect == "signalr":
        return signalr.close(signalr.REASONS.get(closing.reason), allow_reconnect=True).encode()
    return plain.close(closing.reason, reconnect=True).encode()
