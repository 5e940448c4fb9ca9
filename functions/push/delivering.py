"""From recipients that are due to phones that have it.

A message may be sent twice (a worker that was killed before it noted what it had sent), and then
replaces itself on the phone; by two workers at the same time it is not. No transaction is open
while the provider works.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from sqlalchemy.exc import DBAPIError

from fieldgate import cache, deadline, request_id
from fieldgate.circuit_breaker import OPEN_SECONDS, CircuitBreaker
from fieldgate.db.engine import Database
from fieldgate.errors import Unavailable
from fieldgate.observability import count, gauge, logger
from fieldgate.push import Outcome, Pusher, PushMessage, payload
from fieldgate.push.notifying import PAGE, expand
from fieldgate.queues import LONGEST_PAUSE_SECONDS
from push import delivery_store
from push.delivery_store import Device, Taken
from push.device_tokens import decrypt_token
from push.judging import GONE, Judgement, judge, judge_without_pushing, shows_that_it_works

BATCH = 500
# For the messages of a batch; what was begun last ends some seconds later.
SEND_SECONDS = 15
# To take a batch; with less time left none is begun.
TAKE_SECONDS = 3
# To write down what became of them, of the reserve that a consumer keeps.
RECORD_SECONDS = 6
NOTIFICATIONS_AT_ONCE = 100
# Failures that open the circuit, however many messages a batch had.
MOST_FAILURES = 3
# How long a message that was taken proves that our project is one that phones have.
PROOF_SECONDS = 86_400
PROOF_KEY = "push:taken:{sender}"
ACTOR = "system:deliver_push"

type Wake = Callable[[int], None]
"""Has a worker look in so many seconds."""
type Addressed = tuple[Taken, Device, PushMessage | None]
"""A message for a phone; None where we can't read its token any more."""


@dataclass
class Done:
    """What a run did: recipients by the state they came to, messages by what was said of them."""

    recipients: Counter[str] = field(default_factory=Counter)
    messages: Counter[str] = field(default_factory=Counter)


@dataclass
class Run:
    """What a run works with, and what it did."""

    database: Database
    pusher: Pusher | None
    breaker: CircuitBreaker
    wake: Wake
    done: Done = field(default_factory=Done)


def deliver(database: Database, pusher: Pusher | None, breaker: CircuitBreaker, wake: Wake) -> Done:
    """Push whatever is due, in batches, until nothing is, or the time is up, or nobody answers.

    Without a `pusher` recipients are `suppressed`: they have it in their inbox.

    Raises:
        Unavailable: the database is.

    """
    run = Run(database, pusher, breaker, wake)
    try:
        waiting = database.read(
            lambda connection: delivery_store.find_waiting(connection, NOTIFICATIONS_AT_ONCE)
        )
        may_be_due = waiting.is_due
        for notification_id in waiting.unexpanded:
            may_be_due |= _expand(run, notification_id)
        # Who is let through has to report back, so nobody asks who has nothing to send; who had
        # nothing to report of a batch, as nobody in it was to be pushed to, need not ask again.
        is_let_through = pusher is None
        while (
            may_be_due
            and deadline.is_left(TAKE_SECONDS)
            and (is_let_through or breaker.lets_through())
        ):
            taken = database.transact(lambda connection: delivery_store.take(connection, BATCH))
            if len(taken) == BATCH:
                wake(0)  # There may be more than one can do.
            if taken:
                is_let_through = not _push(run, taken) or pusher is None
            if len(taken) < BATCH:
                break
    finally:
        _measure(run.done)
    return run.done


def _measure(done: Done) -> None:
    for outcome, number in done.recipients.items():
        gauge("Pushes", number, outcome=outcome)
    for outcome, number in done.messages.items():
        gauge("PushMessages", number, outcome=outcome)
    if tried := done.messages.total() - done.messages["not_tried"]:
        gauge("PushMessagesTried", tried)
        gauge("PushMessagesSent", done.messages["sent"])
    if done.recipients or done.messages:
        about = {"recipients": done.recipients, "messages": done.messages}
        logger().info("pushed", extra=about)


def _expand(run: Run, notification_id: UUID) -> bool:
    """Write down a page of recipients that was left to us; say whether there were any.

    After a full page another worker is woken: a large audience holds up nobody else's pushes, nor
    does one that can't be written down.
    """
    if not deadline.is_left(TAKE_SECONDS):
        return False
    try:
        written = run.database.transact(lambda connection: expand(connection, notification_id))
    except (Unavailable, DBAPIError):
        about = {"notification_id": str(notification_id)}
        logger().exception("recipients not written down", extra=about)
        run.done.recipients["not_written_down"] += 1
        return False
    if written == PAGE:
        run.wake(0)
    return written > 0


def _push(run: Run, taken: Sequence[Taken]) -> bool:
    """Push to those that are ours, and note what came of it; say whether the circuit was told."""
    judgements: list[Judgement] = []
    left: list[Taken] = []
    for recipient in taken:
        judgement = judge_without_pushing(recipient, is_on=run.pusher is not None)
        if judgement:
            judgements.append(judgement)
        else:
            left.append(recipient)
    addressed = [
        (recipient, device, _message(recipient, device))
        for recipient in left
        for device in recipient.devices
    ]
    outcomes = _send(run, addressed)
    said: dict[tuple[UUID, UUID], list[tuple[Device, Outcome]]] = {}
    for (recipient, device, _), outcome in zip(addressed, outcomes, strict=True):
        key = recipient.notification_id, recipient.user_id
        said.setdefault(key, []).append((device, outcome))
        run.done.messages[outcome.verdict] += 1
    judgements += [judge(one, said[one.notification_id, one.user_id]) for one in left]
    disabled = [
        {"id": device.id, "user_id": one.user_id, "taken_at": one.now, "reason": reason}
        for (one, device, _), outcome in zip(addressed, outcomes, strict=True)
        if (reason := GONE.get(outcome.verdict))
    ]
    with deadline.within(RECORD_SECONDS):
        run.database.transact(
            lambda connection: delivery_store.record(
                connection, [judgement.as_row() for judgement in judgements], disabled
            ),
            actor=ACTOR,
            request_id=request_id.current(),
        )
    return _note(run, judgements, outcomes)


def _message(recipient: Taken, device: Device) -> PushMessage | None:
    address = decrypt_token(device.token)
    if address is None:
        return None
    return PushMessage(
        address=address,
        address_kind=device.kind,
        title=recipient.title,
        body=recipient.body,
        channel=recipient.kind,
        collapse_key=recipient.collapse_key,
        badge=max(1, recipient.unread),
        data=payload.with_own(recipient.data, recipient.notification_id, recipient.kind),
    )


def _send(run: Run, addressed: Sequence[Addressed]) -> list[Outcome]:
    """Hand the messages over; return an outcome for each."""
    messages = [message for _, _, message in addressed if message]
    if not messages:
        return [Outcome("unregistered", "unreadable") for _ in addressed]
    assert run.pusher is not None
    if not deadline.is_left():
        return [Outcome("not_tried", "no_time") for _ in addressed]
    seconds = min(SEND_SECONDS, deadline.seconds_left())
    outcomes = run.pusher.send_each(messages, seconds)
    answered = iter(_read_mismatches(outcomes, run.pusher.sender))
    return [
        next(answered) if message else Outcome("unregistered", "unreadable")
        for _, _, message in addressed
    ]


def _read_mismatches(outcomes: list[Outcome], sender: str) -> list[Outcome]:
    """Tell tokens of another project from credentials of another.

    A project that takes messages, now or within the last day, is the right one. Where it took none,
    nobody's phone is to be forgotten for what may be our mistake.
    """
    proof = PROOF_KEY.format(sender=sender)
    if any(outcome.verdict == "sent" for outcome in outcomes):
        cache.set_many({proof: "yes"}, PROOF_SECONDS)
        return outcomes
    mismatch = "sender_mismatch"
    if not any(outcome.verdict == mismatch for outcome in outcomes) or cache.get_many([proof]):
        return outcomes
    return [
        replace(outcome, verdict="misconfigured", reason=mismatch)
        if outcome.verdict == mismatch
        else outcome
        for outcome in outcomes
    ]


def _note(run: Run, judgements: Sequence[Judgement], outcomes: Sequence[Outcome]) -> bool:
    """Tell the circuit, whoever has to act, and the worker that is to try again.

    Say whether there was anything to tell the circuit.
    """
    for judgement in judgements:
        run.done.recipients[judgement.state] += 1
    works, failed = any(map(shows_that_it_works, outcomes)), 0
    if works:
        run.breaker.succeeded()
    else:
        # By people: what is wrong with one person's phones is no reason to leave all alone.
        failed = sum(bool(judgement.pause) and judgement.counts for judgement in judgements)
        for _ in range(min(MOST_FAILURES, failed)):
            run.breaker.failed()
        if failed:
            run.wake(OPEN_SECONDS + 1)  # When the circuit, should it be open now, may be tried.
    wrong = {outcome.reason for outcome in outcomes if outcome.verdict == "misconfigured"}
    if wrong:
        logger().error("pushes need somebody to act", extra={"reasons": sorted(wrong)})
        count("PushAlarm")
    pauses = [judgement.pause for judgement in judgements if judgement.pause]
    if pauses and min(pauses) <= LONGEST_PAUSE_SECONDS:
        run.wake(math.ceil(min(pauses)))
    return works or failed > 0
