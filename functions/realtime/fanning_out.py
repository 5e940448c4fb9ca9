"""From the stream to connections: each gets what it is owed and may see, in order.

A run has the mailboxes that it posts for under a lease, and gives them back with how far it came.
Dead in the middle, it is repeated once the lease is over: then what it had posted is posted once
more, which clients tell by the offset. Messages only wake: what is owed stands with the connection.
"""

import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from fieldgate import deadline, request_id
from fieldgate.db.engine import Database
from fieldgate.errors import Unavailable
from fieldgate.observability import gauge, logger
from realtime import connection_store, fan_out_store, stream_store
from realtime.deliveries import Deliveries, Delivery
from realtime.fan_out_store import Claim
from realtime.posting import Outcome, Poster, at_once

ACTOR = "system:fan_out"
# For so long of a lease posts are begun; the last takes five seconds, and giving back some more.
SENDING_SECONDS = 18
# For so long what failed is tried again.
AGAIN_SECONDS = 8
# Of the reserve that `fieldgate.queues` keeps of a function's time.
RELEASE_SECONDS = 3
# Read at once; who is owed more gets the rest in another round.
MOST_EVENTS = 1000


@dataclass
class Sending:
    """How far each mailbox of a claim is, while frames are posted; `gone` are not there at all."""

    ends: float  # by the monotonic clock
    sent: dict[str, int]
    gone: set[str] = field(default_factory=set)
    frames: int = 0

    def left(self) -> float:
        return self.ends - time.monotonic()


async def send_owed(database: Database, poster: Poster, connections: Collection[str]) -> None:
    """Post to these connections what they are owed, and what they come to be owed meanwhile.

    Raises:
        Unavailable: some did not get all of it, or a run that may be dead holds some; so come back.

    """
    given_back = 0
    waiting = unclaimed = set(connections)
    while waiting:
        ends = time.monotonic() + min(SENDING_SECONDS, deadline.seconds_left())
        claimed = _claim(database, waiting)
        if claimed is None:
            break
        unclaimed = unclaimed - {mailbox.id for mailbox in claimed.mailboxes}
        sending = Sending(ends, {mailbox.id: mailbox.sent for mailbox in claimed.mailboxes})
        try:
            deliveries = await _post(database, poster, claimed, sending)
        except Exception:
            # Whoever comes next need not wait for the lease, nor post again what was posted.
            with suppress(Unavailable), deadline.within(RELEASE_SECONDS):
                _release(database, claimed, sending)
            raise
        with deadline.within(RELEASE_SECONDS):
            more = _release(database, claimed, sending)
        left = _left(deliveries, sending)
        _report(sending, len(left))
        given_back += len(left)
        unread = {mine.mailbox.id for mine in deliveries if mine.until < mine.mailbox.wanted}
        waiting = (more | unread) - left - sending.gone
    if given_back:
        raise Unavailable(f"{given_back} connections did not get what they are owed.")
    if unclaimed and _is_held_for_long(database, unclaimed):
        raise Unavailable("Another run has some of these connections, and for long.")


async def _post(
    database: Database, poster: Poster, claimed: Claim, sending: Sending
) -> list[Delivery]:
    """Post to all mailboxes: at first in one try each, then again where that may help."""
    after = min(mailbox.sent for mailbox in claimed.mailboxes)
    until = max(mailbox.wanted for mailbox in claimed.mailboxes)
    stretch = database.read(lambda c: stream_store.stretch(c, after, until, MOST_EVENTS))
    made = Deliveries(stretch, datetime.now(UTC))
    deliveries = [made.of(mailbox) for mailbox in claimed.mailboxes]
    failed: list[tuple[Delivery, int]] = []

    async def try_once(delivery: Delivery) -> None:
        done, outcome = await _deliver(poster, delivery, sending)
        if outcome == "passing":
            failed.append((delivery, done))

    async def try_again(rest: tuple[Delivery, int]) -> None:
        await _deliver(poster, rest[0], sending, done=rest[1], patiently=True)

    await at_once(deliveries, try_once)
    # They mostly wait, so all of them may.
    await at_once(failed, try_again, workers=len(failed))
    return deliveries


async def _deliver(
    poster: Poster, delivery: Delivery, sending: Sending, *, done: int = 0, patiently: bool = False
) -> tuple[int, Outcome]:
    """Post the frames after the first `done`, as far as that goes and time allows.

    Returns how many are posted in all, and what came of the last try.
    """
    mailbox = delivery.mailbox
    outcome: Outcome = "delivered"
    for frame in delivery.frames[done:]:
        left = sending.left()
        if left <= 0:
            return done, outcome
        if patiently:
            outcome = await poster.post_again(mailbox.id, frame.content, min(AGAIN_SECONDS, left))
        else:
            outcome = await poster.post(mailbox.id, frame.content)
        if outcome == "gone":
            sending.gone.add(mailbox.id)
        if outcome != "delivered":
            return done, outcome
        done += 1
        sending.frames += 1
        sending.sent[mailbox.id] = delivery.sent_by(done)
    sending.sent[mailbox.id] = delivery.until
    return done, outcome


def _claim(database: Database, connections: Collection[str]) -> Claim | None:
    return database.transact(
        lambda c: fan_out_store.claim(c, connections), actor=ACTOR, request_id=request_id.current()
    )


def _is_held_for_long(database: Database, connections: Collection[str]) -> bool:
    return database.read(lambda c: fan_out_store.is_held_for_long(c, connections))


def _release(database: Database, claimed: Claim, sending: Sending) -> set[str]:
    """Give the mailboxes back and forget who is gone; return to whom more is owed by now."""
    there = {name: sent for name, sent in sending.sent.items() if name not in sending.gone}
    more = database.transact(
        lambda c: fan_out_store.release(c, claimed, there),
        actor=ACTOR,
        request_id=request_id.current(),
    )
    if sending.gone:
        forget(database, sending.gone)
    return more


def forget(database: Database, gone: Collection[str]) -> None:
    """Remove the rows of connections that API Gateway doesn't know any more."""
    database.transact(
        lambda c: connection_store.drop(c, gone), actor=ACTOR, request_id=request_id.current()
    )


def _left(deliveries: Iterable[Delivery], sending: Sending) -> set[str]:
    """Return who is there and has not got all of what was read for them."""
    return {
        mine.mailbox.id
        for mine in deliveries
        if mine.mailbox.id not in sending.gone and sending.sent[mine.mailbox.id] < mine.until
    }


def _report(sending: Sending, given_back: int) -> None:
    gauge("FanOutSent", sending.frames)
    if sending.gone:
        gauge("FanOutGone", len(sending.gone))
    if given_back:
        gauge("FanOutGivenBack", given_back)
        logger().warning("frames given back", extra={"connections": given_back})
