"""Opening challenges: who wants to prove a number gets a code texted to it."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy import Connection

from fieldgate.errors import Gone
from fieldgate.one_time_codes import OneTimeCodeSettings
from fieldgate.settings import load
from identity import challenge_store
from identity.budgets import (
    BudgetSettings,
    Counter,
    counters_of,
    phone_free_at,
    rate_limited,
    refuse_overspent,
)
from identity.challenge_store import NewChallenge, Registration, Spent
from identity.phone_numbers import supported_country_of
from identity.sessions import Profile

type Purpose = Literal["register", "login", "second_factor", "password_reset", "phone_change"]


@dataclass(frozen=True)
class OpenedChallenge:
    """`message_id` is the text to send; None, which `wake_sender` takes as well, when none is."""

    id: UUID
    expires_at: datetime
    resend_after: datetime
    message_id: UUID | None


def open_challenge(
    connection: Connection,
    *,
    phone: str,
    purpose: Purpose,
    ip: str,
    user_id: UUID | None = None,
    registration: Registration | None = None,
    profile: Profile | None = None,
) -> OpenedChallenge:
    """Spend the budgets of `phone` (E.164) and open a challenge for it, in one statement.

    `user_id` is whose challenge it is: the caller's (phone_change) or that of the user whose
    password was right (second_factor). Without it, it is that of the user who has the number.
    `profile` is kept with it: what the login wished for (second_factor).
    Which text is sent (a code, a notice, none at all) follows from purpose and user; the answer
    and the work are the same. Call `wake_sender(opened.message_id)` after the commit.

    Raises:
        RateLimited: a budget is used up; the transaction must be rolled back.
        Unavailable: the day's texts are used up; likewise.
        BusinessRule: no texts are sent to this country.

    """
    codes, budgets = load(OneTimeCodeSettings), load(BudgetSettings)
    counters = counters_of(budgets, purpose, phone, supported_country_of(phone), ip)
    challenge = NewChallenge(
        # Nobody can guess it: an id that tells its time, as our others do, would be half a secret.
        uuid.uuid4(),
        phone,
        purpose,
        user_id,
        timedelta(minutes=codes.otp_minutes),
        registration,
        profile,
    )
    keys = [counter.key for counter in counters]
    spent = challenge_store.open_challenge(connection, challenge, keys)
    return _within_budgets(challenge.id, spent, budgets, counters)


def send_again(connection: Connection, challenge_id: UUID, *, ip: str) -> OpenedChallenge:
    """Have the text of an open challenge sent again, with the same code; it expires as before.

    Two statements. Raises what `open_challenge` does, and:

    Raises:
        Gone: the challenge is unknown, expired, used, or out of attempts.

    """
    codes, budgets = load(OneTimeCodeSettings), load(BudgetSettings)
    challenge = challenge_store.find_open(connection, challenge_id, codes.otp_max_attempts)
    if challenge is None:
        raise gone()
    if challenge.sends >= codes.otp_max_sends:
        wait = challenge.expires_at - challenge.now
        raise rate_limited("This code was sent often enough.", wait)
    country = supported_country_of(challenge.phone)
    counters = counters_of(budgets, challenge.purpose, challenge.phone, country, ip)
    spent = challenge_store.send_again(
        connection,
        challenge_id,
        challenge.phone,
        [counter.key for counter in counters],
        max_attempts=codes.otp_max_attempts,
        max_sends=codes.otp_max_sends,
    )
    return _within_budgets(challenge_id, spent, budgets, counters)


def still_open(connection: Connection, user_id: UUID) -> OpenedChallenge | None:
    """Return the newest second factor that the user can still answer: its text was sent.

    `resend_after` is when the phone's next text is allowed, now at the earliest.
    """
    codes, budgets = load(OneTimeCodeSettings), load(BudgetSettings)
    found = challenge_store.find_open_second_factor(connection, user_id, codes.otp_max_attempts)
    if found is None:
        return None
    free_at = phone_free_at(budgets, found.sent_at, found.now)
    return OpenedChallenge(found.id, found.expires_at, free_at, None)


def _within_budgets(
    challenge_id: UUID, spent: Spent, budgets: BudgetSettings, counters: list[Counter]
) -> OpenedChallenge:
    refuse_overspent(budgets, counters, used=spent.used, sent_at=spent.sent_at, now=spent.now)
    if spent.expires_at is None:
        raise gone()
    free_at = phone_free_at(budgets, [*spent.sent_at, spent.now], spent.now)
    return OpenedChallenge(challenge_id, spent.expires_at, free_at, spent.message_id)


def gone() -> Gone:
    return Gone("This code can't be used any more. Please ask for a new one.")
