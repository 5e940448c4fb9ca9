"""Checking codes, and what a right one is good for.

A wrong code is counted and committed before it is refused, so that no failure of the request gives
a try back.
"""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from pydantic import Field
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from fieldgate import request_id
from fieldgate.db.engine import Database, violated_constraint
from fieldgate.errors import (
    Conflict,
    FieldgateError,
    Forbidden,
    InvalidCredentials,
    Unauthorized,
)
from fieldgate.observability import count
from fieldgate.one_time_codes import OneTimeCodeSettings, judge
from fieldgate.settings import Settings, load
from fieldgate.sms.waking import wake_sender
from identity import code_store, store
from identity.budgets import BudgetSettings, failures_free_at, rate_limited
from identity.challenging import Purpose, gone
from identity.code_store import PhoneChange, SignedIn
from identity.passwords import hash_password
from identity.sessions import NewSession
from identity.store import User
from identity.tries import Tried, Try

SIGN_IN_PURPOSES: tuple[Purpose, ...] = ("register", "login", "second_factor")


class RegistrationSettings(Settings):
    """The role of those who register themselves."""

    registration_role: Annotated[str, Field(pattern="^[a-z][a-z_]*$")] = "farmer"


def sign_in_by_code(database: Database, challenge_id: UUID, code: str, session: NewSession) -> User:
    """Return the user whom a right code proves, with `session` begun; made, if they register.

    One transaction of one statement. An e-mail that another account has by now is left out.

    Raises:
        InvalidCredentials: the code is wrong, or one for something else. It counts as a try.
        Gone: the challenge is unknown, expired, used or out of tries; or the user has another
            number by now.
        RateLimited: too many codes were wrong for this number today.
        Conflict: the number has an account by now.
        Forbidden: the account is not active.

    """
    from fieldgate import tokens

    # A code is spent once. What could keep us from answering with tokens afterwards goes first.
    tokens.check_signing()
    attempt = _try(challenge_id, code, SIGN_IN_PURPOSES)
    role = load(RegistrationSettings).registration_role

    def work(connection: Connection) -> SignedIn:
        return code_store.sign_in(connection, attempt, session, role)

    try:
        result = database.transact(work, request_id=request_id.current())
    except IntegrityError as error:
        if violated_constraint(error) != "uq_users_email":
            raise
        # Another account took the e-mail at the same moment; now it is there to be seen.
        result = database.transact(work, request_id=request_id.current())
    _check(result.tried)
    if result.user is None:
        raise _without_user(result)
    return result.user


def change_phone(
    database: Database, caller_id: UUID, session_id: UUID, challenge_id: UUID, code: str
) -> User:
    """Give the caller the phone that a right code proves, and return them with it.

    One transaction of two statements, of one when the code is wrong. Their sessions go on: who
    changes the phone is signed in, and holds the new one. The old one is told by a text. Raises
    what `sign_in_by_code` does but Forbidden, and:

    Raises:
        Unauthorized: the caller's session has ended, or they are not active. The code is spent.

    """
    attempt = _try(challenge_id, code, ["phone_change"], caller_id)

    def work(connection: Connection) -> tuple[PhoneChange, User | None]:
        change = code_store.change_phone(connection, attempt, session_id)
        return change, store.find_by_id(connection, caller_id) if change.changed else None

    try:
        change, user = database.transact(
            work, actor=str(caller_id), request_id=request_id.current()
        )
    except IntegrityError as error:
        if violated_constraint(error) != "uq_users_phone":
            raise
        raise _taken() from None
    _check(change.tried)
    if user is None:
        raise Unauthorized("The session has ended.")
    if change.message_id is not None:
        wake_sender(change.message_id)
    return user


def reset_password(
    database: Database, challenge_id: UUID, code: str, new_password: str
) -> list[UUID]:
    """Replace the password of the user whom a right code proves, and end all their sessions.

    One transaction of two statements. Raises what `sign_in_by_code` does.

    Returns:
        The sessions that were alive, for the cache to hear of.

    """
    attempt = _try(challenge_id, code, ["password_reset"])

    def work(connection: Connection) -> tuple[Tried, list[UUID] | None]:
        tried, user_id, phone = code_store.try_for_password(connection, attempt)
        if not tried.won or user_id is None or phone is None:
            return tried, None
        # Not before the code is right: it takes 60 ms of a processor, which guesses are not worth.
        new_hash = hash_password(new_password)
        return tried, code_store.set_password(connection, user_id, phone, new_hash)

    tried, ended = database.transact(work, request_id=request_id.current())
    _check(tried)
    if ended is None:
        raise _not_active()
    return ended


def _try(
    challenge_id: UUID, code: str, purposes: Sequence[Purpose], caller_id: UUID | None = None
) -> Try:
    judgement = judge(challenge_id, code)
    return Try(
        challenge_id,
        right=judgement.right,
        right_by_phone=judgement.by_phone,
        purposes=purposes,
        max_attempts=load(OneTimeCodeSettings).otp_max_attempts,
        max_failures=load(BudgetSettings).otp_phone_failures_per_day,
        caller_id=caller_id,
    )


def _check(tried: Tried) -> None:
    """Refuse what the code was not good for, after the try was counted and committed."""
    if tried.failed_at is not None:
        free_at = failures_free_at(load(BudgetSettings), tried.failed_at)
        if free_at is not None:
            raise rate_limited("Too many wrong codes were typed.", free_at - tried.now)
    if not tried.compared:
        raise gone()
    count("OtpVerified" if tried.won else "OtpWrong", purpose=str(tried.purpose))
    if not tried.won:
        raise InvalidCredentials("The code is wrong.")


def _without_user(result: SignedIn) -> FieldgateError:
    """Say why a right code signs nobody in."""
    if result.tried.purpose == "register":
        return _taken()
    return _not_active() if result.owner_status != "active" else gone()


def _taken() -> Conflict:
    return Conflict("There is an account with this number.")


def _not_active() -> Forbidden:
    return Forbidden("This account may not sign in.", code="ACCOUNT_NOT_ACTIVE")
