"""Budgets of one-time codes, which outlive a challenge: what a new code must not reset.

They are for guessing (checks that fail), for pestering (texts to one number), and for pumping:
texts to ranges of numbers whose operator pays the attacker.

Ranges and countries have two pools each: one for numbers that are nobody's yet, which anybody may
name as he likes, and a wider one for those of users. So neither can registrations keep users from
signing in, nor can questions for numbers that nobody has: these spend nothing of the second pool.
They are refused by it as users' are, so that an answer doesn't tell which it is.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import Field

from fieldgate.errors import RateLimited, Unavailable
from fieldgate.observability import count
from fieldgate.settings import Settings

type Span = Literal["hour", "day"]

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
# The digits at the end that a range of numbers is sold with.
RANGE_DIGITS = 3
# How much more is allowed to the numbers of users, which an attacker can't choose.
KNOWN_FACTOR = 10
TEXTS_KEY = "day:texts"
IP_KEY_START = "hour:ip:"

_PURPOSES_OF_NEW_NUMBERS = frozenset({"register", "phone_change"})

_Limit = Annotated[int, Field(ge=1)]


class BudgetSettings(Settings):
    """How much is allowed: of a phone, counted back from now; of others, from the full hour or day.

    Days are UTC's.
    """

    otp_phone_sends_per_hour: _Limit = 5
    otp_phone_sends_per_day: _Limit = 10
    otp_seconds_between_sends: _Limit = 60
    otp_phone_failures_per_day: _Limit = 15
    otp_ip_sends_per_hour: _Limit = 300
    otp_prefix_sends_per_hour: _Limit = 30
    otp_prefix_sends_per_day: _Limit = 100
    otp_country_sends_per_day: _Limit = 5_000
    # The spending stop: counts only what is really texted.
    otp_daily_texts: _Limit = 10_000

    @property
    def pause(self) -> timedelta:
        return timedelta(seconds=self.otp_seconds_between_sends)


@dataclass(frozen=True)
class Counter:
    """A budget counted in fixed windows. `key` begins with the window's length."""

    key: str
    limit: int

    @property
    def span(self) -> Span:
        return "hour" if self.key.startswith("hour:") else "day"

    def next_window(self, now: datetime) -> datetime:
        hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        return hour + HOUR if self.span == "hour" else hour.replace(hour=0) + DAY


def counters_of(
    settings: BudgetSettings, purpose: str, phone: str, country: str, ip: str
) -> list[Counter]:
    """Return what a text to `phone` (E.164) spends besides the phone's own budgets.

    From the narrowest to the widest, and one order for all: their rows are locked in it, so that
    a flood from one address waits for itself before it keeps others waiting.
    """
    is_new = purpose in _PURPOSES_OF_NEW_NUMBERS
    pool, factor = ("new", 1) if is_new else ("known", KNOWN_FACTOR)
    prefix = phone[:-RANGE_DIGITS]
    counters = [
        Counter(f"{IP_KEY_START}{ip}", settings.otp_ip_sends_per_hour),
        Counter(f"hour:{pool}-prefix:{prefix}", factor * settings.otp_prefix_sends_per_hour),
        Counter(f"day:{pool}-prefix:{prefix}", factor * settings.otp_prefix_sends_per_day),
        Counter(
            f"day:{pool}-country:{country}",
            min(factor * settings.otp_country_sends_per_day, settings.otp_daily_texts),
        ),
    ]
    if is_new:
        # The other half of the day's texts is for users.
        counters.append(Counter("day:new-texts", math.ceil(settings.otp_daily_texts / 2)))
    return [*counters, Counter(TEXTS_KEY, settings.otp_daily_texts)]


def refuse_overspent(
    settings: BudgetSettings,
    counters: Sequence[Counter],
    *,
    used: Mapping[str, int],
    sent_at: Sequence[datetime],
    now: datetime,
) -> None:
    """Refuse one more text after what was `used` (by key) and `sent_at` (to the phone) before it.

    Raises:
        Unavailable: the spending stop, for everybody alike.
        RateLimited: any other budget; the one that lasts longest says when to come back.

    """
    until = {}
    for counter in counters:
        if used[counter.key] >= counter.limit:
            until[counter.key] = counter.next_window(now)
    if TEXTS_KEY in until:
        count("OtpSpendingStop")
        raise Unavailable(
            "No more texts can be sent today. Please sign in by password, or try again tomorrow.",
            headers=_retry_after(until[TEXTS_KEY] - now),
        )
    until["phone"] = phone_free_at(settings, sent_at, now)
    budget, free_at = max(until.items(), key=lambda item: item[1])
    if free_at > now:
        # The key's second word is the kind: its value would name a person.
        count("OtpSendRefused", budget=":".join(budget.split(":")[:2]))
        raise rate_limited("Too many codes were asked for.", free_at - now)


def failures_free_at(settings: BudgetSettings, failed_at: Sequence[datetime]) -> datetime | None:
    """Return when a phone's next code may be checked, None when right away.

    `failed_at` are the checks that failed within a day.
    """
    limit = settings.otp_phone_failures_per_day
    latest_first = sorted(failed_at, reverse=True)
    return latest_first[limit - 1] + DAY if len(latest_first) >= limit else None


def rate_limited(sentence: str, wait: timedelta) -> RateLimited:
    return RateLimited(f"{sentence} Please try again later.", headers=_retry_after(wait))


def phone_free_at(settings: BudgetSettings, sent_at: Sequence[datetime], now: datetime) -> datetime:
    """Return when a phone that got texts at `sent_at` may get the next, `now` at the earliest."""
    latest_first = sorted(sent_at, reverse=True)
    free_at = [now]
    for limit, window in (
        (1, settings.pause),
        (settings.otp_phone_sends_per_hour, HOUR),
        (settings.otp_phone_sends_per_day, DAY),
    ):
        if len(latest_first) >= limit:
            free_at.append(latest_first[limit - 1] + window)
    return max(free_at)


def _retry_after(wait: timedelta) -> dict[str, str]:
    return {"retry-after": str(max(1, math.ceil(wait.total_seconds())))}
