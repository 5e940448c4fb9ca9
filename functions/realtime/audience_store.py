"""Which connections may be of an audience: the condition in SQL."""

from collections.abc import Collection, Iterable
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    any_,
    bindparam,
    column,
    func,
    literal_column,
    select,
    true,
    union,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Text, Uuid

from fieldgate.db.tables.identity import role_permissions, user_roles
from fieldgate.db.tables.realtime import realtime_connections
from realtime.audiences import EVERYBODY

_NONE = literal_column("CAST('{}' AS text[])", ARRAY(Text))


def concerned(told: Collection[str]) -> ColumnElement[bool]:
    """Say that a connection may be of one of the audiences.

    All are found by indexes, channels one by one: comparing lists (&&) might take the product of
    all names, minutes in all. What was found is then looked up, and not joined.
    """
    if EVERYBODY in told:
        return true()
    mine = realtime_connections
    users, roles, permissions, channels = (
        [name for kind, _, name in (item.partition(":") for item in told) if kind == wanted]
        for wanted in ("user", "role", "permission", "channel")
    )
    found: list[Select[tuple[str]]] = [
        select(mine.c.id).where(
            mine.c.user_id == any_(bindparam("users", _uuids(users), ARRAY(Uuid)))
        ),
        select(mine.c.id)
        .join(user_roles, user_roles.c.user_id == mine.c.user_id)
        .where(user_roles.c.role == any_(bindparam("roles", roles, ARRAY(Text)))),
        select(mine.c.id)
        .join(user_roles, user_roles.c.user_id == mine.c.user_id)
        .join(role_permissions, role_permissions.c.role == user_roles.c.role)
        .where(
            role_permissions.c.permission
            == any_(bindparam("permissions", permissions, ARRAY(Text)))
        ),
        select(mine.c.id)
        .join_from(
            func.unnest(bindparam("channels", channels, ARRAY(Text))).alias("name"),
            mine,
            mine.c.channels.contains(func.array_append(_NONE, column("name"))),
        )
        .where(mine.c.channels != _NONE),
    ]
    names = (users, roles, permissions, channels)
    asked = [query for query, wanted in zip(found, names, strict=True) if wanted]
    return mine.c.id == any_(func.array(union(*asked).scalar_subquery())) if asked else ~true()


def _uuids(texts: Iterable[str]) -> list[UUID]:
    """Return those that are one: a row by hand that isn't must not hold up all that come after."""
    found = []
    for item in texts:
        try:
            found.append(UUID(item))
        except ValueError:
            continue
    return found
