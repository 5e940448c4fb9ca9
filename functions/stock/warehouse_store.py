"""Every query about warehouses."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select, text
from sqlalchemy.exc import DataError

from fieldgate.db.tables.stock import warehouses

# The condition is true of every zone that the database knows, and fails for others, by which its
# lots would never be warned of. What is as it was, isn't written.
_SET = """
    INSERT INTO warehouses (name, time_zone)
    SELECT :name, CAST(:time_zone AS text) WHERE now() AT TIME ZONE :time_zone IS NOT NULL
    ON CONFLICT (name) DO UPDATE SET time_zone = excluded.time_zone
    WHERE warehouses.time_zone <> excluded.time_zone"""


@dataclass(frozen=True)
class Warehouse:
    name: str
    time_zone: str
    created_at: datetime
    updated_at: datetime


class UnknownZone(Exception):
    """The database knows no time zone of that name."""


def put(connection: Connection, name: str, time_zone: str) -> Warehouse:
    """Have a warehouse, which is made if it is new, go by the clock of a zone.

    Raises:
        UnknownZone: and the transaction is of no more use.

    """
    try:
        connection.execute(text(_SET), {"name": name, "time_zone": time_zone})
    except DataError:
        raise UnknownZone from None
    columns = [warehouses.c[column] for column in Warehouse.__dataclass_fields__]
    found = connection.execute(select(*columns).where(warehouses.c.name == name))
    return Warehouse(**found.mappings().one())
