"""Every query about alerts.

Days left are those from today to the last on which a lot is good, by the calendar of its warehouse;
today is the database's, or that of `at`. An alert belongs to the tightest threshold that holds, and
a lot gets it only where it has had none so tight: then a calendar that goes back, or comes late,
brings nothing twice.
"""

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, and_, func, select, text, update

from fieldgate.db.tables.stock import stock_alerts

# More than the loosest threshold: somewhere it is a later day. The first to expire tells.
_CONCERNED = """
    SELECT name FROM warehouses
    LEFT JOIN LATERAL (
        SELECT true AS is_there FROM stock_lots
        WHERE warehouse = name AND quantity > 0
            AND expires_on <= CAST(coalesce(CAST(:at AS timestamptz), now()) AS date) + 32
        ORDER BY expires_on LIMIT 1) AS lot ON true
    LEFT JOIN LATERAL (
        SELECT true AS is_there FROM stock_alerts
        WHERE warehouse = name AND notification_id IS NULL AND closed_at IS NULL
        LIMIT 1) AS untold ON true
    WHERE lot.is_there OR untold.is_there
    ORDER BY name"""

# One at a time opens or tells a warehouse's alerts; new lots of it don't wait for that.
_LOCK = """
    SELECT CAST(coalesce(CAST(:at AS timestamptz), now()) AT TIME ZONE time_zone AS date)
    FROM warehouses WHERE name = :warehouse FOR NO KEY UPDATE"""

# Lots are looked at in order, a page at a time, those that have their alert already among them.
# Alerts are asked for lot by lot: a join might read all of them for each page. What is open of a
# lot that gets another is looser, and not yet that other one.
_OPEN = """
    WITH page AS (
        SELECT id, expires_on,
            CASE WHEN days_left < 0 THEN 0
                WHEN days_left <= 1 THEN 1
                WHEN days_left <= 7 THEN 7
                WHEN days_left <= 14 THEN 14
                ELSE 30 END AS threshold_days
        FROM stock_lots, LATERAL (SELECT expires_on - CAST(:today AS date) AS days_left) AS calendar
        WHERE warehouse = :warehouse AND quantity > 0 AND expires_on <= CAST(:today AS date) + 30
            AND (expires_on, id) > (:after_day, :after_id)
        ORDER BY expires_on, id LIMIT :batch
    ),
    due AS (
        SELECT id, threshold_days FROM page
        WHERE threshold_days < coalesce(
            (SELECT min(stock_alerts.threshold_days) FROM stock_alerts WHERE lot_id = page.id), 99)
    ),
    taken AS (
        SELECT lot.id, threshold_days FROM due JOIN stock_lots AS lot USING (id)
        WHERE quantity > 0
        FOR NO KEY UPDATE OF lot {skip}
    ),
    opened AS (
        INSERT INTO stock_alerts (lot_id, threshold_days, warehouse)
        SELECT id, threshold_days, :warehouse FROM taken
        RETURNING lot_id, threshold_days
    ),
    superseded AS (
        UPDATE stock_alerts SET closed_at = now(), closed_reason = 'superseded'
        WHERE lot_id = ANY (ARRAY(SELECT lot_id FROM opened)) AND closed_at IS NULL
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM page) AS looked_at,
        (SELECT count(*) FROM due) - (SELECT count(*) FROM taken) AS passed_over,
        (SELECT count(*) FROM opened) AS opened,
        (SELECT count(*) FROM superseded) AS superseded,
        last.expires_on AS day, last.id
    FROM (SELECT) AS one LEFT JOIN (
        SELECT * FROM page ORDER BY expires_on DESC, id DESC LIMIT 1) AS last ON true"""

# The most pressing ones. Only these lots are looked up.
_EXAMPLES = """
    SELECT product, quantity, unit, expires_on
    FROM (
        SELECT lot_id, threshold_days FROM stock_alerts
        WHERE warehouse = :warehouse AND notification_id IS NULL AND closed_at IS NULL
        ORDER BY threshold_days, lot_id LIMIT :number
    ) AS untold JOIN stock_lots ON id = lot_id
    ORDER BY expires_on, id"""


@dataclass(frozen=True)
class Place:
    """How far a warehouse's lots are looked at: up to this one, in the order they expire in."""

    day: date = date.min
    lot_id: UUID = field(default_factory=lambda: UUID(int=0))


@dataclass(frozen=True)
class Page:
    """What came of a page of lots; `passed_over` are those that somebody held just then."""

    looked_at: int
    passed_over: int
    opened: int
    superseded: int
    end: Place


@dataclass(frozen=True)
class Example:
    """One of the lots that are told of."""

    product: str
    quantity: Decimal
    unit: str
    expires_on: date


def warehouses_concerned(connection: Connection, at: datetime | None) -> list[str]:
    """Return the warehouses that have lots about to expire, or alerts that nobody was told of."""
    return list(connection.execute(text(_CONCERNED), {"at": at}).scalars())


def lock_warehouse(connection: Connection, warehouse: str, at: datetime | None) -> date:
    """Have a warehouse's alerts to oneself until the transaction ends; return the day it is there.

    Raises:
        sqlalchemy.exc.DataError: the database doesn't know its time zone.

    """
    values = {"warehouse": warehouse, "at": at}
    today: date = connection.execute(text(_LOCK), values).scalar_one()
    return today


def open_page(
    connection: Connection,
    warehouse: str,
    today: date,
    after: Place,
    batch: int,
    *,
    wait: bool = False,
) -> Page:
    """Open alerts among the next `batch` lots of a locked warehouse, and close looser ones.

    Lots that somebody holds are passed over, or, if told so, waited for.
    """
    statement = _OPEN.format(skip="" if wait else "SKIP LOCKED")
    values = {
        "warehouse": warehouse,
        "today": today,
        "after_day": after.day,
        "after_id": after.lot_id,
        "batch": batch,
    }
    row = connection.execute(text(statement), values).one()
    end = Place(row.day, row.id) if row.looked_at else after
    return Page(row.looked_at, row.passed_over, row.opened, row.superseded, end)


def count_untold(connection: Connection, warehouse: str) -> dict[int, int]:
    """Say of how many lots nobody was told yet, by the threshold of their alert."""
    counted = connection.execute(
        select(stock_alerts.c.threshold_days, func.count().label("number"))
        .where(_untold(warehouse))
        .group_by(stock_alerts.c.threshold_days)
    )
    return {row.threshold_days: row.number for row in counted}


def untold_examples(connection: Connection, warehouse: str, number: int) -> list[Example]:
    """Return the most pressing lots that nobody was told of."""
    values = {"warehouse": warehouse, "number": number}
    return [Example(*row) for row in connection.execute(text(_EXAMPLES), values)]


def mark_told(connection: Connection, warehouse: str, notification_id: UUID) -> int:
    """Note which notification tells of a warehouse's untold alerts; return how many these are."""
    told = connection.execute(
        update(stock_alerts).where(_untold(warehouse)).values(notification_id=notification_id)
    )
    return told.rowcount


def _untold(warehouse: str) -> ColumnElement[bool]:
    return and_(
        stock_alerts.c.warehouse == warehouse,
        stock_alerts.c.notification_id.is_(None),
        stock_alerts.c.closed_at.is_(None),
    )
