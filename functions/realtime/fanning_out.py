"""From the stream to connections: each gets what it is owed and may see, in order.

A run has the mailboxes that it posts for under a lease, and gives them back with how far it came.
Dead in the middle, it is repeated once the lease is over: then what it had posted is posted once
more, which clients tell by the offset. Messages only wake: what is owed stands with the connection.

A run waits for nobody. API Gateway says 429 when all is throttled, and also of a single client that
doesn't read: such a connection is asked for again, alone and later, and in the end put out.
"""

import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from fieldgate import deadline, request_id
from fieldgate.db.engine import Database
from fieldgate.errors import Unavailable
from fieldgate.observability import gauge, logger
from realtime import connection_store, fan_out_queue, fan_out_store, stream_store
from realtime.deliveries import Deliveries, Delivery
from realtime.fan_out_queue import LAST_TRY, Work
from realtime.fan_out_store import Claim
from realtime.posting import Poster, at_once

ACTOR = "system:fan_out"
# For so long of a lease posts are begun; the last takes five seconds, and giving back some more.
SENDING_SECONDS = 18
# Of the reserve that `fieldgate.queues` keeps of a function's time.
RELEASE_SECONDS = 3
# Read at once; who is owed more gets the rest in another round.
MOST_EVENTS = 1000


@dataclass
class Sending:
    """How far each mailbox of a claim is, while frames are posted.

    Who did not take all had so many `tries` by now, or has `refused`; `gone` are not there at all,
    and those `put_out` not any more.
    """

    ends: float  # by the monotonic clock
    sent: dict[str, int]
    tries: dict[str, int] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    put_out: set[str] = field(default_factory=set)
    frames: int = 0

    def is_over(self) -> bool:
        return time.monotonic() >= self.ends

    def given_back(self) -> set[str]:
        return self.tries.keys() | self.refused


async def send_owed(database: Database, poster: Poster, work: Work) -> list[Work]:
    """Post to these connections what they are owed, and what they come to be owed meanwhile.

    Returns what is to be asked for, as some did not take all of it. Who is not in it and still owed
    something, the sweep finds.

    Raises:
        Unavailable: a run that may be dead holds some of them; so come back.

    """
    left: dict[str, int] = {}
    waiting = unclaimed = set(work.connections)
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
        _report(sending)
        left |= sending.tries
        unread = {mine.mailbox.id for mine in deliveries if mine.until < mine.mailbox.wanted}
        waiting = (more | unread) - sending.given_back() - sending.gone - sending.put_out
    if unclaimed and _is_held_for_long(database, unclaimed):
        raise Unavailable("Another run has some of these connections, and for long.")
    return fan_out_queue.again("send", left)


async def _post(
    database: Database, poster: Poster, claimed: Claim, sending: Sending
) -> list[Delivery]:
    """Post to all mailboxes; put out who, after so many tries, takes nothing in the last."""
    after = min(mailbox.sent for mailbox in claimed.mailboxes)
    until = max(mailbox.wanted for mailbox in claimed.mailboxes)
    stretch = database.read(lambda c: stream_store.stretch(c, after, until, MOST_EVENTS))
    made = Deliveries(stretch, datetime.now(UTC))
    deliveries = [made.of(mailbox) for mailbox in claimed.mailboxes]

    async def put_out(name: str) -> None:
        # When all is throttled so is this, and nobody is put out for it.
        if not sending.is_over() and await poster.delete(name) in {"delivered", "gone"}:
            del sending.tries[name]
            sending.put_out.add(name)

    await at_once(deliveries, lambda delivery: _deliver(poster, delivery, sending))
    await at_once([name for name, had in sending.tries.items() if had > LAST_TRY], put_out)
    return deliveries


async def _deliver(poster: Poster, delivery: Delivery, sending: Sending) -> None:
    """Post the frames, as far as they are taken and time allows."""
    name = delivery.mailbox.id
    for done, frame in enumerate(delivery.frames):
        if sending.is_over():
            sending.tries[name] = 1
            return
        outcome = await poster.post(name, frame.content)
        if outcome == "gone":
            sending.gone.add(name)
        elif outcome == "refused":
            sending.refused.add(name)
        elif outcome == "passing":
            # Who took some does read.
            sending.tries[name] = 1 if done else delivery.mailbox.tries + 1
        if outcome != "delivered":
            return
        sending.frames += 1
        sending.sent[name] = delivery.sent_by(done + 1)
    sending.sent[name] = delivery.until


def _claim(database: Database, connections: Collection[str]) -> Claim | None:
    return database.transact(
        lambda c: fan_out_store.claim(c, connections), actor=ACTOR, request_id=request_id.current()
    )


def _is_held_for_long(database: Database, connections: Collection[str]) -> bool:
    return database.read(lambda c: fan_out_store.is_held_for_long(c, connections))


def _release(database: Database, claimed: Claim, sending: Sending) -> set[str]:
    """Give the mailboxes back and forget who is gone; return to whom more is owed by now."""
    away = sending.gone | sending.put_out
    there = {name: sent for name, sent in sending.sent.items() if name not in away}
    more = database.transact(
        lambda c: fan_out_store.release(c, claimed, there, sending.tries),
        actor=ACTOR,
        request_id=request_id.current(),
    )
    if away:
        forget(database, away)
    return more


def forget(database: Database, gone: Collection[str]) -> None:
    """Remove the rows of connections that are not there any more."""
    database.transact(
        lambda c: connection_store.drop(c, gone), actor=ACTOR, request_id=request_id.current()
    )


def _report(sending: Sending) -> None:
    gauge("FanOutSent", sending.frames)
    if sending.gone:
        gauge("FanOutGone", len(sending.gone))
    if sending.put_out:
        gauge("FanOutPutOut", len(sending.put_out))
    if given_back := len(sending.given_back()):
        gauge("FanOutGivenBack", given_back)
        logger().warning("frames given back", extra={"connections": given_back})
