"""How lots, losses and alerts find their rows."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from uuid import UUID

import pytest
from sqlalchemy import Connection, text

from fieldgate.db.engine import Database
from stock import alert_store, loss_store, lot_store, warehouse_store
from stock.alert_store import Place
from stock.alerting import BATCH, EXAMPLES
from tests.support.hot_queries import Hot, faults, page_of
from tests.support.million import ROWS, person

# Two hundred warehouses, the first with half of all lots. What expires has mostly gone before: of
# a lot that is over, one in a hundred still lies there.
LOTS = (
    """INSERT INTO warehouses (name, time_zone)
    SELECT 'Warehouse ' || n, 'Africa/Nairobi' FROM generate_series(0, 199) AS n""",
    f"""INSERT INTO stock_lots (id, product, warehouse, unit, received, quantity, expires_on,
        created_by, created_at)
    SELECT made(n, at), 'Beans',
        'Warehouse ' || CASE WHEN mod(n, 2) = 0 THEN 0 ELSE mod(n / 2, 200) END, 'kg', 40,
        CASE WHEN age < 20000 OR mod(n, 100) = 3 THEN 40 ELSE 0 END,
        current_date + 180 - age / 1000, person(whose(n)), at
    FROM generate_series(0, {ROWS - 1}) AS n,
        LATERAL (SELECT at(n, 1000, now()) AS at, {ROWS} - n AS age) AS made""",
    # Of what lies there and is within days of its end; one warehouse's lots nobody was told of.
    """INSERT INTO stock_alerts (lot_id, threshold_days, warehouse, notification_id, closed_at,
        closed_reason)
    SELECT id, days, warehouse, CASE WHEN warehouse <> 'Warehouse 7' OR quantity = 0
            THEN uuidv7() END,
        CASE WHEN quantity = 0 OR days > 0 THEN now() END,
        CASE WHEN quantity = 0 OR days > 0 THEN 'superseded' END
    FROM stock_lots, unnest(ARRAY[14, 0]) AS days
    WHERE expires_on < current_date - 20""",
    f"""INSERT INTO stock_losses (lot_id, quantity, reason, state, reported_by, decided_by,
        decided_at, created_at)
    SELECT made(n, at), 1, 'Weevils', state, person(whose(n)),
        CASE WHEN state <> 'pending' THEN person(1) END,
        CASE WHEN state <> 'pending' THEN at END, at
    FROM generate_series(0, {ROWS - 1}) AS n, LATERAL (SELECT at(n, 1000, now()) AS at,
        CASE WHEN mod(n, 5000) = 6 THEN 'pending' WHEN mod(n, 10) = 0 THEN 'rejected'
            ELSE 'approved' END AS state) AS made
    WHERE person(whose(n)) <> person(1)""",
)
TABLES = LOTS

TODAY = datetime.now(UTC).date()
BEGINNING = Place()
BIG, SMALL = "Warehouse 0", "Warehouse 7"
NEW = {
    "product": "Beans",
    "warehouse": "Warehouse 201",
    "unit": "kg",
    "quantity": Decimal(40),
    "expires_on": TODAY + timedelta(days=90),
    "created_by": person(7),
    "zone_key": "STOCK_TIME_ZONE",
    "zone_default": "Africa/Nairobi",
}


def lots(warehouse: str | None, within: int | None) -> Hot:
    return page_of(lambda c: lot_store.find_page(c, warehouse, within, 20, 0))


def lots_that_expire(warehouse: str | None) -> Hot:
    find = partial(lot_store.find_page, warehouse=warehouse, expiring_within=30, limit=20, offset=0)
    return Hot(
        find, most_rows=40_000, why="finds all that expire, 8,500, for the page and to count"
    )


def losses(state: str | None) -> Hot:
    return page_of(lambda c: loss_store.find_page(c, state, 20, 0))


def a_lot(use: Callable[[Connection, UUID], object]) -> Callable[[Connection], object]:
    latest = text("SELECT id FROM stock_lots ORDER BY created_at DESC, id DESC LIMIT 1")
    return lambda connection: use(connection, connection.execute(latest).scalar_one())


def a_loss(use: Callable[[Connection, UUID], object]) -> Callable[[Connection], object]:
    waiting = text("""
        SELECT id FROM stock_losses WHERE state = 'pending' ORDER BY created_at DESC LIMIT 1""")
    return lambda connection: use(connection, connection.execute(waiting).scalar_one())


def open_page(connection: Connection, warehouse: str, after: Place = BEGINNING) -> None:
    alert_store.open_page(connection, warehouse, TODAY, after, BATCH)


QUERIES: dict[str, Hot] = {
    "stock.lot_store.add": Hot(lambda c: lot_store.add(c, NEW)),
    "stock.lot_store.find_page": lots(None, None),
    "stock.lot_store.find_page, of a large warehouse": lots(BIG, None),
    "stock.lot_store.find_page, of a small warehouse": lots(SMALL, None),
    "stock.lot_store.find_page, that expire": lots_that_expire(None),
    "stock.lot_store.find_page, that expire in a large warehouse": lots_that_expire(BIG),
    "stock.lot_store.find_page, that expire in a small warehouse": lots_that_expire(SMALL),
    "stock.lot_store.take": Hot(a_lot(lambda c, lot: lot_store.take(c, lot, Decimal(1)))),
    "stock.lot_store.take, the last": Hot(
        a_lot(lambda c, lot: lot_store.take(c, lot, Decimal(40)))
    ),
    "stock.loss_store.add": Hot(
        a_lot(lambda c, lot: loss_store.add(c, lot, Decimal(1), "Weevils", person(7)))
    ),
    "stock.loss_store.find": Hot(a_loss(loss_store.find)),
    "stock.loss_store.find_page": losses(None),
    "stock.loss_store.find_page, to decide": losses("pending"),
    "stock.loss_store.find_page, decided": losses("approved"),
    "stock.loss_store.decide": Hot(
        a_loss(lambda c, loss: loss_store.decide(c, loss, "approved", person(1)))
    ),
    "stock.warehouse_store.put": Hot(lambda c: warehouse_store.put(c, SMALL, "Africa/Kampala")),
    "stock.alert_store.warehouses_concerned": Hot(
        lambda c: alert_store.warehouses_concerned(c, None)
    ),
    "stock.alert_store.lock_warehouse": Hot(lambda c: alert_store.lock_warehouse(c, SMALL, None)),
    "stock.alert_store.open_page": Hot(partial(open_page, warehouse=BIG)),
    "stock.alert_store.open_page, further": Hot(
        partial(open_page, warehouse=BIG, after=Place(TODAY, UUID(int=0)))
    ),
    "stock.alert_store.count_untold": Hot(lambda c: alert_store.count_untold(c, SMALL)),
    "stock.alert_store.untold_examples": Hot(
        lambda c: alert_store.untold_examples(c, SMALL, EXAMPLES)
    ),
    "stock.alert_store.mark_told": Hot(lambda c: alert_store.mark_told(c, SMALL, UUID(int=1))),
}


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_finds_its_rows_among_a_million(full: Database, name: str) -> None:
    assert faults(full, QUERIES[name]) == []
