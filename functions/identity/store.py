"""Every query about users and their roles."""

from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    String,
    Uuid,
    and_,
    bindparam,
    cast,
    delete,
    exists,
    func,
    insert,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by

from fieldgate.db.paging import newest_page, read_page
from fieldgate.db.tables.identity import role_permissions, roles, user_roles, users

ADMIN = "admin"


@dataclass(frozen=True)
class User:
    id: UUID
    name: str
    phone: str | None
    email: str | None
    password_hash: str | None = field(repr=False)
    status: str
    two_factor_enabled: bool
    permission_version: int
    created_at: datetime
    roles: list[str]
    permissions: list[str]


# Users


def find_by_phone(connection: Connection, phone: str) -> User | None:
    return _find(connection, _by_phone(), phone)


def find_by_email(connection: Connection, email: str) -> User | None:
    return _find(connection, _by_email(), email.lower())


def find_by_id(connection: Connection, user_id: UUID) -> User | None:
    return _find(connection, _by_id(), user_id)


def find_page(
    connection: Connection, role: str | None, status: str | None, limit: int, offset: int
) -> tuple[list[User], int]:
    """Return one page, newest first, and how many there are in all: one round trip for both."""
    statement = _page(of_role=role is not None, in_status=status is not None)
    rows, total = read_page(
        connection, statement, limit=limit, offset=offset, role=role, status=status
    )
    return [user_of(row) for row in rows], total


def lock_password(connection: Connection, user: User) -> bool:
    """Keep the user's password as it is until the end of the transaction.

    Returns False when it was changed, or the user blocked, since `user` was read.
    """
    found = connection.scalar(select(users.c.id).where(_as_read(user)).with_for_update(read=True))
    return found is not None


def replace_password_hash(connection: Connection, user: User, new_hash: str) -> bool:
    """Store another hash of the user's password, and keep that as `lock_password` does."""
    replaced = connection.scalar(
        update(users).where(_as_read(user)).values(password_hash=new_hash).returning(users.c.id)
    )
    return replaced is not None


def _as_read(user: User) -> ColumnElement[bool]:
    return and_(
        users.c.id == user.id,
        users.c.password_hash == user.password_hash,
        users.c.status == user.status,
    )


def set_status(connection: Connection, user_id: UUID, status: str) -> None:
    connection.execute(update(users).where(users.c.id == user_id).values(status=status))


# Roles


def lock_roles(connection: Connection) -> set[str]:
    """Have changes of who is what wait for each other until the end of the transaction.

    Returns the roles that there are.
    """
    found = connection.scalars(
        select(roles.c.name).order_by(roles.c.name).with_for_update(key_share=True)
    )
    return set(found)


def is_last_admin(connection: Connection, user: User) -> bool:
    """Say whether nobody would be an active admin without `user`. Needs `lock_roles`."""
    if user.status != "active" or ADMIN not in user.roles:
        return False
    another = exists().where(
        user_roles.c.role == ADMIN,
        user_roles.c.user_id == users.c.id,
        users.c.id != user.id,
        users.c.status == "active",
    )
    return not connection.scalar(select(another))


def change_roles(
    connection: Connection, user_id: UUID, *, taken: set[str], given: set[str]
) -> None:
    """Take roles away and give others; what doesn't change is not touched."""
    if taken:
        connection.execute(
            delete(user_roles).where(user_roles.c.user_id == user_id, user_roles.c.role.in_(taken))
        )
    if given:
        rows = [{"user_id": user_id, "role": role} for role in sorted(given)]
        connection.execute(insert(user_roles).values(rows))


def _find(connection: Connection, statement: Select[Any], wanted: str | UUID) -> User | None:
    """Read a user with roles and permissions, in one round trip."""
    row = connection.execute(statement, {"wanted": wanted}).mappings().one_or_none()
    return user_of(row) if row else None


@cache
def _by_id() -> Select[Any]:
    return select(*user_columns()).where(users.c.id == bindparam("wanted"))


@cache
def _by_phone() -> Select[Any]:
    return select(*user_columns()).where(users.c.phone == bindparam("wanted"))


@cache
def _by_email() -> Select[Any]:
    return select(*user_columns()).where(func.lower(users.c.email) == bindparam("wanted"))


@cache
def _page(*, of_role: bool, in_status: bool) -> Select[Any]:
    condition: ColumnElement[bool] = true()
    if of_role:
        has_it = user_roles.c.role == bindparam("role")
        condition = and_(condition, exists().where(user_roles.c.user_id == users.c.id, has_it))
    if in_status:
        condition = and_(condition, users.c.status == bindparam("status"))
    return newest_page(users, user_columns(), condition)


@cache
def user_columns() -> list[ColumnElement[Any]]:
    """Return what a `User` is made of, for a statement about `users`."""
    held = (
        select(func.array_agg(aggregate_order_by(user_roles.c.role, user_roles.c.role)))
        .where(user_roles.c.user_id == users.c.id)
        .correlate(users)
        .scalar_subquery()
    )
    permissions = (
        select(func.array_agg(role_permissions.c.permission.distinct()))
        .join(user_roles, user_roles.c.role == role_permissions.c.role)
        .where(user_roles.c.user_id == users.c.id)
        .correlate(users)
        .scalar_subquery()
    )
    none = cast([], ARRAY(String))
    return [
        users.c.id.cast(Uuid).label("id"),
        users.c.name,
        users.c.phone,
        users.c.email,
        users.c.password_hash,
        users.c.status,
        users.c.two_factor_enabled,
        users.c.permission_version,
        users.c.created_at,
        func.coalesce(held, none).label("roles"),
        func.coalesce(permissions, none).label("permissions"),
    ]


def user_of(row: RowMapping) -> User:
    return User(**{name: row[name] for name in User.__dataclass_fields__})
