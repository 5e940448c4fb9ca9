"""Every query of the identity domain."""

from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, String, Uuid, cast, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by

from fieldgate.db.tables.identity import role_permissions, user_roles, users


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
    roles: list[str]
    permissions: list[str]


def find_by_phone(connection: Connection, phone: str) -> User | None:
    return _find(connection, users.c.phone == phone)


def find_by_email(connection: Connection, email: str) -> User | None:
    return _find(connection, func.lower(users.c.email) == email.lower())


def find_by_id(connection: Connection, user_id: UUID) -> User | None:
    return _find(connection, users.c.id == user_id)


def replace_password_hash(connection: Connection, user: User, new_hash: str) -> None:
    """Store `new_hash` unless the password was changed since `user` was read."""
    connection.execute(
        update(users)
        .where(users.c.id == user.id, users.c.password_hash == user.password_hash)
        .values(password_hash=new_hash)
    )


def _find(connection: Connection, condition: ColumnElement[bool]) -> User | None:
    """Read a user with roles and permissions, in one round trip."""
    roles = (
        select(func.array_agg(aggregate_order_by(user_roles.c.role, user_roles.c.role)))
        .where(user_roles.c.user_id == users.c.id)
        .scalar_subquery()
    )
    permissions = (
        select(func.array_agg(role_permissions.c.permission.distinct()))
        .join(user_roles, user_roles.c.role == role_permissions.c.role)
        .where(user_roles.c.user_id == users.c.id)
        .scalar_subquery()
    )
    none = cast([], ARRAY(String))
    row = connection.execute(
        select(
            users.c.id.cast(Uuid),
            users.c.name,
            users.c.phone,
            users.c.email,
            users.c.password_hash,
            users.c.status,
            users.c.two_factor_enabled,
            users.c.permission_version,
            func.coalesce(roles, none).label("roles"),
            func.coalesce(permissions, none).label("permissions"),
        ).where(condition)
    ).one_or_none()
    return User(**row._mapping) if row else None
