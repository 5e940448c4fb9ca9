"""Every query about the configuration. Its history is what the change log has of the table."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    RowMapping,
    Select,
    and_,
    bindparam,
    literal,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from fieldgate.configuration import Value
from fieldgate.db.paging import newest_page, read_page
from fieldgate.db.tables.change_log import change_log
from fieldgate.db.tables.configuration import configuration


@dataclass(frozen=True)
class Stored:
    """What was set for a key."""

    key: str
    value: Any
    active: bool
    version: int
    updated_at: datetime


@dataclass(frozen=True)
class Past:
    """A version of a key, and who made it; None is somebody past our functions."""

    version: int
    value: Any
    active: bool
    actor: str | None
    at: datetime


_COLUMNS = [configuration.c[name] for name in Stored.__dataclass_fields__]
_VERSION = change_log.c.after["version"].astext.cast(Integer)
_PAST = [
    change_log.c.id,
    _VERSION.label("version"),
    change_log.c.after["value"].label("value"),
    change_log.c.after["active"].astext.label("active"),
    change_log.c.actor,
    change_log.c.at,
]


def find_all(connection: Connection) -> dict[str, Stored]:
    """Return what was set, by key."""
    rows = connection.execute(select(*_COLUMNS)).mappings()
    return {row["key"]: _stored(row) for row in rows}


def find(connection: Connection, key: str) -> Stored | None:
    statement = select(*_COLUMNS).where(configuration.c.key == key)
    row = connection.execute(statement).mappings().one_or_none()
    return _stored(row) if row else None


def put(connection: Connection, key: str, value: Value, *, active: bool) -> Stored:
    """Set a key, as a version of its own, whoever else does so at the same moment."""
    new = insert(configuration).values(key=key, value=value, active=active)
    statement = new.on_conflict_do_update(
        index_elements=[configuration.c.key],
        set_={
            "value": new.excluded.value,
            "active": new.excluded.active,
            "version": configuration.c.version + 1,
        },
    ).returning(*_COLUMNS)
    return _stored(connection.execute(statement).mappings().one())


def put_after(connection: Connection, seen: Stored, past: Past) -> Stored | None:
    """Set a key to what it was, unless it was set since it was `seen`: then return None."""
    row = connection.execute(
        update(configuration)
        .where(configuration.c.key == seen.key, configuration.c.version == seen.version)
        .values(value=past.value, active=past.active, version=configuration.c.version + 1)
        .returning(*_COLUMNS)
    )
    found = row.mappings().one_or_none()
    return _stored(found) if found else None


def find_past(connection: Connection, key: str, version: int) -> Past | None:
    """Return a version of a key; the latest of that number, should the row have been deleted."""
    of_it = select(*_PAST).where(_is_of(key), literal(version) == _VERSION)
    latest = of_it.order_by(change_log.c.id.desc()).limit(1)
    row = connection.execute(latest).mappings().one_or_none()
    return _past(row) if row else None


def find_page(
    connection: Connection, key: str, *, limit: int, offset: int
) -> tuple[Sequence[Past], int]:
    """Return a page of a key's versions, the latest first, and how many there are: one trip."""
    rows, total = read_page(connection, _page(), limit=limit, offset=offset, key=key)
    return [_past(row) for row in rows], total


@cache
def _page() -> Select[Any]:
    return newest_page(change_log, _PAST, _is_of(bindparam("key")), by=("id",))


def _is_of(key: str | ColumnElement[str]) -> ColumnElement[bool]:
    return and_(
        change_log.c.entity == literal("configuration"),
        change_log.c.entity_id == key,
        # None after a deletion, which only happens by hand.
        change_log.c.after.is_not(None),
    )


def _stored(row: RowMapping) -> Stored:
    return Stored(**{name: row[name] for name in Stored.__dataclass_fields__})


def _past(row: RowMapping) -> Past:
    return Past(
        version=row["version"],
        value=row["value"],
        active=row["active"] == "true",
        actor=row["actor"],
        at=row["at"],
    )
