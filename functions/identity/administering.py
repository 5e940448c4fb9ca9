"""What admins do to users: give and take roles, block and let in again.

The authorizer lets callers by who were admins half a minute ago. So they are looked at once more
here, after those who change others have been waited for.
"""

from collections.abc import Sequence
from typing import Literal
from uuid import UUID

from sqlalchemy import Connection

from fieldgate import request_id
from fieldgate.db.engine import Database
from fieldgate.errors import BusinessRule, ErrorDetail, Forbidden, NotFound, ValidationFailed
from identity import session_check, session_store, store
from identity.store import ADMIN, User

PERMISSION = "users:write"

type Status = Literal["active", "blocked"]


def set_roles(
    database: Database, user_id: UUID, roles: Sequence[str], *, actor: UUID, session_id: UUID
) -> User:
    """Give the user exactly these roles, and return them as they are then.

    Raises:
        Forbidden: `actor` may not do this now, or not by that session of theirs.
        NotFound: no such user.
        ValidationFailed: no such role.
        BusinessRule: nobody would be an admin.

    """

    def change(connection: Connection) -> User:
        known = store.lock_roles(connection)
        _check_actor(connection, actor, session_id)
        user = _found(store.find_by_id(connection, user_id))
        if unknown := [place for place, role in enumerate(roles) if role not in known]:
            details = [ErrorDetail(f"roles.{place}", "is not a role") for place in unknown]
            raise ValidationFailed("The request is not valid.", details=details)
        if ADMIN not in roles:
            _check_not_last(connection, user)
        held, wanted = set(user.roles), set(roles)
        if held == wanted:
            return user
        store.change_roles(connection, user_id, taken=held - wanted, given=wanted - held)
        return _found(store.find_by_id(connection, user_id))

    user = database.transact(change, actor=str(actor), request_id=request_id.current())
    session_check.remember_user(user)
    return user


def set_status(
    database: Database, user_id: UUID, status: Status, *, actor: UUID, session_id: UUID
) -> User:
    """Block a user, which ends their sessions, or let them in (again).

    Raises:
        Forbidden: `actor` may not do this now, or not by that session of theirs.
        NotFound: no such user.
        BusinessRule: nobody would be an admin.

    """

    def change(connection: Connection) -> tuple[User, list[UUID]]:
        store.lock_roles(connection)
        _check_actor(connection, actor, session_id)
        user = _found(store.find_by_id(connection, user_id))
        if status == user.status:
            return user, []
        ended = []
        if status == "blocked":
            _check_not_last(connection, user)
        store.set_status(connection, user_id, status)
        if status == "blocked":
            ended = session_store.end_sessions(connection, user_id, "blocked")
        return _found(store.find_by_id(connection, user_id)), ended

    user, ended = database.transact(change, actor=str(actor), request_id=request_id.current())
    session_check.remember_user(user)
    session_check.remember_ended(ended)
    return user


def _check_actor(connection: Connection, actor: UUID, session_id: UUID) -> None:
    user, alive = session_store.find_with_session(connection, actor, session_id)
    if user is None or not alive or user.status != "active" or PERMISSION not in user.permissions:
        raise Forbidden(f"This needs the permission {PERMISSION}.")


def _found(user: User | None) -> User:
    if user is None:
        raise NotFound("There is no such user.")
    return user


def _check_not_last(connection: Connection, user: User) -> None:
    if store.is_last_admin(connection, user):
        raise BusinessRule("Somebody must stay an admin.", code="LAST_ADMIN")
