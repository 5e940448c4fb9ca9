"""From what the provider said of each phone to what becomes of a recipient."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import SystemRandom
from typing import Any, Literal

from fieldgate.push import Outcome, Verdict
from fieldgate.queues import pause_seconds
from push.delivery_store import Device, Taken
from push.quiet_hours import quiet_until

type State = Literal["queued", "sent", "suppressed", "failed"]

# Quiet hours may take most of a day of it.
GIVE_UP_AFTER = timedelta(days=2)
# The word that stands for devices that can't be pushed to, by verdict.
GONE: dict[Verdict, str] = {
    "unregistered": "unregistered",
    "sender_mismatch": "sender_mismatch",
}
# Verdicts after which the same device is tried again.
AGAIN: frozenset[Verdict] = frozenset({"passing", "misconfigured", "not_tried"})
# Verdicts that show that the provider works, and takes us for whom we are.
_ANSWERED: frozenset[Verdict] = frozenset(
    {"sent", "unregistered", "sender_mismatch", "bad_message"}
)
# How much longer a pause may be, so that what failed together does not come back together.
JITTER = 0.25
# After a batch that there was no time for.
NEXT_SECONDS = 1


@dataclass(frozen=True)
class Judgement:
    """What is to be noted of a recipient. `counts` says whether it was a try at all.

    A queued one is due again at `due_at`, or else after `pause` seconds.
    """

    taken: Taken
    state: State
    reason: str | None = None
    done: Sequence[Device] = ()
    newly_sent: int = 0
    counts: bool = True
    pause: float = 0
    due_at: datetime | None = None

    def as_row(self) -> dict[str, Any]:
        """Return it as `delivery_store.record` takes it."""
        return {
            "notification_id": self.taken.notification_id,
            "user_id": self.taken.user_id,
            "attempts": self.taken.attempts,
            "state": self.state,
            "reason": self.reason,
            "done_devices": [device.id for device in self.done],
            "newly_sent": self.newly_sent,
            "counts": self.counts,
            "due_at": self.due_at,
            "pause": self.pause,
        }


def shows_that_it_works(outcome: Outcome) -> bool:
    """Say whether the provider is there and takes us for whom we are, whatever it said.

    So is what it tells of Apple, who refuses our key: that keeps nobody on Android from anything.
    """
    return outcome.verdict in _ANSWERED or outcome.reason == "third_party_auth"


def judge_without_pushing(taken: Taken, *, is_on: bool) -> Judgement | None:
    """Judge a recipient whom nothing is to be sent to, now or at all; None is for the others."""
    reason = _why_not(taken, is_on=is_on)
    if reason:
        # One of several phones may have it from an earlier try.
        return Judgement(taken, "sent") if taken.sent else Judgement(taken, "suppressed", reason)
    if taken.quiet_from and taken.quiet_to and taken.time_zone:
        until = quiet_until(taken.now, taken.quiet_from, taken.quiet_to, taken.time_zone)
        if until:
            return Judgement(taken, "queued", reason="quiet_hours", counts=False, due_at=until)
    return None


def judge(taken: Taken, outcomes: Sequence[tuple[Device, Outcome]]) -> Judgement:
    """Judge a recipient by what was said of each of their devices, at least one.

    Devices that have it, or never will, are done. While one of the others may have it later the
    recipient stays queued; then it counts whether any has it.
    """
    done = [device for device, outcome in outcomes if outcome.verdict not in AGAIN]
    newly_sent = sum(outcome.verdict == "sent" for _, outcome in outcomes)
    left = [outcome for _, outcome in outcomes if outcome.verdict in AGAIN]
    if left and taken.age < GIVE_UP_AFTER:
        tried = [outcome for outcome in left if outcome.verdict != "not_tried"]
        return Judgement(
            taken,
            "queued",
            reason=(tried or left)[0].reason or (tried or left)[0].verdict,
            done=done,
            newly_sent=newly_sent,
            counts=bool(tried),
            pause=_pause(taken.attempts, tried) if tried else NEXT_SECONDS,
        )
    if taken.sent + newly_sent:
        return Judgement(taken, "sent", done=done, newly_sent=newly_sent)
    reason = "too_late" if left else outcomes[0][1].verdict
    return Judgement(taken, "failed", reason=reason, done=done)


def _why_not(taken: Taken, *, is_on: bool) -> str:
    if taken.is_muted:
        return "muted"
    if taken.is_read:
        return "read"
    if not is_on:
        return "push_off"
    return "" if taken.devices else "no_device"


def _pause(attempts: int, tried: Iterable[Outcome]) -> float:
    """Return the seconds to the next try: what was asked for, and never less than our own."""
    asked = max((outcome.retry_after or 0 for outcome in tried), default=0)
    spread = SystemRandom().uniform(1, 1 + JITTER)
    return max(asked, pause_seconds(attempts)) * spread
