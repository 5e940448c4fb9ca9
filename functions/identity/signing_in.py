"""Signing in with a password."""

from sqlalchemy import Connection

from fieldgate import request_id
from fieldgate.db.engine import Database
from fieldgate.errors import Forbidden, InvalidCredentials, RateLimited
from fieldgate.sms.waking import wake_sender
from identity import session_store, store
from identity.challenging import OpenedChallenge, open_challenge, still_open
from identity.passwords import MAX_PASSWORD_BYTES, Verdict, check_password
from identity.phone_numbers import E164, normalise
from identity.sessions import NewSession
from identity.store import User
from identity.strategies import Strategy, strategy_of

_WRONG = "The identifier or the password is wrong."


def one_spelling(identifier: str) -> str:
    """Return the phone (E.164) or e-mail (lower case) that `identifier` is a way to write."""
    identifier = identifier.strip()
    if "@" in identifier or E164.fullmatch(identifier):
        return identifier.lower()
    try:
        return normalise(identifier)
    except ValueError:
        return identifier.lower()


def sign_in(
    database: Database, identifier: str, password: str, session: NewSession, *, ip: str
) -> User | OpenedChallenge:
    """Return the user known by `identifier` when `password` is right, with `session` begun.

    Where it takes a second factor, a challenge is opened and texted instead; or, where it is too
    soon for another text, the one that is open still is returned. A hash of an older kind is
    replaced on the way. One read, and when the password is right one transaction; both once more
    when the password or its hash was changed between the two.

    Args:
        database: where users are.
        identifier: from `one_spelling`.
        password: as typed.
        session: the one to begin.
        ip: whose budget of texts is spent.

    Raises:
        InvalidCredentials: unknown user or wrong password, alike.
        Forbidden: the right password of an account that may not sign in, or not by password.
        RateLimited: too many codes were asked for, and none of them is open.

    """
    try:
        return _sign_in(database, identifier, password, session, ip)
    except _ChangedMeanwhile:
        # Perhaps it is the same password, hashed anew by a request that came at the same moment.
        return _sign_in(database, identifier, password, session, ip)


def _sign_in(
    database: Database, identifier: str, password: str, session: NewSession, ip: str
) -> User | OpenedChallenge:
    user = database.read(lambda connection: _find(connection, identifier))
    if len(password.encode()) > MAX_PASSWORD_BYTES:
        raise _wrong()
    verdict = check_password(user.password_hash if user else None, password)
    if user is None or not verdict.correct:
        raise _wrong()
    phone = _check_password_suffices(user)

    def begin(connection: Connection) -> OpenedChallenge | None:
        # Rows are locked in one order everywhere: phone, challenge, user, session.
        challenge = None
        if phone is not None:
            challenge = open_challenge(
                connection,
                phone=phone,
                purpose="second_factor",
                user_id=user.id,
                ip=ip,
                profile=session.profile,
            )
        _keep_password(connection, user, verdict)
        if challenge is None:
            session_store.start_session(connection, user.id, session)
        return challenge

    try:
        challenge = database.transact(begin, actor=str(user.id), request_id=request_id.current())
    except RateLimited:
        # The answer to the login before may have been lost, and the challenge's id with it.
        challenge = database.read(lambda connection: still_open(connection, user.id))
        if challenge is None:
            raise
        return challenge
    if challenge is None:
        return user
    wake_sender(challenge.message_id)
    return challenge


def _find(connection: Connection, identifier: str) -> User | None:
    if "\0" in identifier:  # PostgreSQL's text has no such character
        return None
    if E164.fullmatch(identifier):
        return store.find_by_phone(connection, identifier)
    return store.find_by_email(connection, identifier)


def _check_password_suffices(user: User) -> str | None:
    """Return the phone that a second factor must be sent to, None when the password is enough."""
    if user.status != "active":
        raise Forbidden("This account may not sign in.", code="ACCOUNT_NOT_ACTIVE")
    strategy = strategy_of(user)
    if strategy is Strategy.AGENT:
        raise Forbidden("This account signs in by a code sent to its phone.", code="OTP_REQUIRED")
    if strategy is Strategy.TWO_FACTOR and user.phone is None:
        raise Forbidden("This account needs a second factor.", code="SECOND_FACTOR_NEEDED")
    return user.phone if strategy is Strategy.TWO_FACTOR else None


def _keep_password(connection: Connection, user: User, verdict: Verdict) -> None:
    """Refuse when the password was changed since it was checked: all sessions ended then."""
    if verdict.new_hash:
        kept = store.replace_password_hash(connection, user, verdict.new_hash)
    else:
        kept = store.lock_password(connection, user)
    if not kept:
        raise _ChangedMeanwhile(_WRONG)


def _wrong() -> InvalidCredentials:
    return InvalidCredentials(_WRONG)


class _ChangedMeanwhile(InvalidCredentials):
    """The hash that was checked, or the status, is not the user's any more."""
