"""How a round's queries find their rows among 100,000 lots."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import Connection, text

from fieldgate.db.engine import Database
from stock import alert_store
from stock.alert_store import Place
from stock.alerting import BATCH, EXAMPLES
from tests.support.plans import indexes_of, plan_of, read_whole
from tests.support.stock import NOON, TODAY, Depot

START = UUID(int=0)
MIDDLE = Place(TODAY + timedelta(days=5), START)
# Spread over two years, of which one is over, and 40 warehouses. Of one warehouse in ten nobody was
# told anything yet; all others were told of what they have.
FILL = (
    "ALTER TABLE stock_lots DISABLE TRIGGER USER",
    "ALTER TABLE warehouses DISABLE TRIGGER USER",
    """INSERT INTO warehouses (name, time_zone)
    SELECT 'Warehouse ' || number, 'Africa/Nairobi' FROM generate_series(0, 39) AS number""",
    """INSERT INTO stock_lots (product, warehouse, unit, received, quantity, expires_on, created_by)
    SELECT 'Beans', 'Warehouse ' || mod(number, 40), 'kg', 40,
        CASE WHEN mod(number, 50) = 0 THEN 0 ELSE 40 END,
        DATE '2026-03-02' - 365 + mod(number / 40, 730), (SELECT id FROM users LIMIT 1)
    FROM generate_series(0, 99999) AS number""",
    """INSERT INTO stock_alerts (lot_id, threshold_days, warehouse, notification_id, closed_at,
        closed_reason)
    SELECT id, days, warehouse,
        CASE WHEN warehouse NOT LIKE '%7' THEN uuidv7() END,
        CASE WHEN days > 0 THEN now() END, CASE WHEN days > 0 THEN 'superseded' END
    FROM stock_lots, unnest(ARRAY[30, 14, 7, 1, 0]) AS days
    WHERE expires_on < DATE '2026-03-02' + days""",
    "ALTER TABLE stock_lots ENABLE TRIGGER USER",
    "ALTER TABLE warehouses ENABLE TRIGGER USER",
)


@pytest.fixture
def full(depot: Depot) -> Database:
    for statement in FILL:
        depot.execute(statement)
    return depot.database


def open_page(connection: Connection, after: Place, *, wait: bool = False) -> object:
    return alert_store.open_page(connection, "Warehouse 7", TODAY, after, BATCH, wait=wait)


QUERIES: dict[str, tuple[Callable[[Connection], object], set[str]]] = {
    "concerned": (
        lambda c: alert_store.warehouses_concerned(c, NOON),
        {"ix_stock_lots_expiry", "ix_stock_alerts_untold"},
    ),
    "lock": (
        lambda c: alert_store.lock_warehouse(c, "Warehouse 7", NOON),
        set(),
    ),
    "open": (
        lambda c: open_page(c, Place()),
        {"ix_stock_lots_expiry", "pk_stock_lots", "pk_stock_alerts"},
    ),
    "open, further": (
        lambda c: open_page(c, MIDDLE),
        {"ix_stock_lots_expiry", "pk_stock_lots", "pk_stock_alerts"},
    ),
    "open, waiting": (
        lambda c: open_page(c, MIDDLE, wait=True),
        {"ix_stock_lots_expiry", "pk_stock_lots", "pk_stock_alerts"},
    ),
    "count": (
        lambda c: alert_store.count_untold(c, "Warehouse 7"),
        {"ix_stock_alerts_untold"},
    ),
    "examples": (
        lambda c: alert_store.untold_examples(c, "Warehouse 7", EXAMPLES),
        {"ix_stock_alerts_untold", "pk_stock_lots"},
    ),
    "told": (
        lambda c: alert_store.mark_told(c, "Warehouse 7", START),
        {"ix_stock_alerts_untold"},
    ),
}


def test_no_query_of_a_round_reads_a_whole_table(full: Database) -> None:
    """Nor where the database has not counted yet, as after many lots came at once."""
    check_plans(full)
    full.transact(lambda c: c.execute(text("ANALYZE stock_lots, stock_alerts, warehouses")))
    check_plans(full)


def check_plans(database: Database) -> None:
    plans = {name: plan_of(database, query) for name, (query, _) in QUERIES.items()}
    small = {"warehouses", "pk_warehouses"}
    strayed = {name: whole for name, plan in plans.items() if (whole := read_whole(plan) - small)}
    assert strayed == {}
    missing = {
        name: left for name, (_, by) in QUERIES.items() if (left := by - indexes_of(plans[name]))
    }
    assert missing == {}
