"""Signing in with a password (seed: authentication flow of IMSOP; WF-AUTH-01)."""

import re

from sqlalchemy import Connection

from fieldgate import request_id
from fieldgate.db.engine import Database
from fieldgate.errors import Forbidden, InvalidCredentials
from identity import store
from identity.passwords import MAX_PASSWORD_BYTES, check_password
from identity.store import User

_PHONE = re.compile(r"\+[1-9]\d{7,14}", re.ASCII)


def sign_in(database: Database, identifier: str, password: str) -> User:
    """Return the user whose phone (E.164) or e-mail is `identifier` when `password` is right.

    A hash of an older kind is replaced on the way. One read, and at most one transaction.

    Raises:
        InvalidCredentials: unknown user or wrong password, alike.
        Forbidden: the right password of an account that may not sign in.

    """
    user = database.read(lambda connection: _find(connection, identifier.strip()))
    if len(password.encode()) > MAX_PASSWORD_BYTES:
        raise InvalidCredentials("The identifier or the password is wrong.")
    verdict = check_password(user.password_hash if user else None, password)
    if user is None or not verdict.correct:
        raise InvalidCredentials("The identifier or the password is wrong.")
    if user.status != "active":
        raise Forbidden("This account may not sign in.", code="ACCOUNT_NOT_ACTIVE")
    if user.two_factor_enabled:
        # No second factor can be asked for yet, and one factor must not be enough.
        raise Forbidden("This account needs a second factor.", code="SECOND_FACTOR_NEEDED")
    if new_hash := verdict.new_hash:
        database.transact(
            lambda connection: store.replace_password_hash(connection, user, new_hash),
            actor=str(user.id),
            request_id=request_id.current(),
        )
    return user


def _find(connection: Connection, identifier: str) -> User | None:
    if "\0" in identifier:  # PostgreSQL's text has no such character
        return None
    if _PHONE.fullmatch(identifier):
        return store.find_by_phone(connection, identifier)
    return store.find_by_email(connection, identifier)
