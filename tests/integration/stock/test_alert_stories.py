"""Whatever happens to lots, calendars and rounds, in whatever order."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from itertools import groupby

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fieldgate import deadline
from fieldgate.db.tables.stock import stock_alerts, stock_lots
from fieldgate.errors import Unavailable
from stock.alerting import Round, open_due
from tests.support.stock import NOON, TODAY, Depot

WAREHOUSES = ("Kisumu", "Nakuru")

type Step = tuple[str, int]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(-3, 40)),
        # The calendar goes on, stands still, misses days, and jumps back and forth.
        st.tuples(st.just("move"), st.integers(-10, 20)),
        st.tuples(st.just("round"), st.just(0)),
        st.tuples(st.just("killed"), st.integers(0, 1)),
        st.tuples(st.just("no time"), st.just(0)),
        st.tuples(st.just("take"), st.integers(0, 10)),
    ),
    min_size=5,
    max_size=25,
)


def play(depot: Depot, steps: Sequence[Step]) -> timedelta:
    """Do all of it; return how far the calendar then is."""
    moved = timedelta(0)
    for number, (what, value) in enumerate(steps):
        at = NOON + moved
        if what == "add":
            day = TODAY + moved + timedelta(days=value)
            depot.add_lot(expires_on=day, warehouse=WAREHOUSES[number % 2])
        elif what == "move":
            moved += timedelta(days=value)
        elif what == "round":
            depot.alert(at)
        elif what == "killed":
            depot.add_warehouse(WAREHOUSES[value])
            open_due(Round(depot.database, at), WAREHOUSES[value])
        elif what == "no time":
            with deadline.within(0), suppress(Unavailable):
                depot.alert(at)
        elif lots := depot.rows(stock_lots):
            lot = lots[value % len(lots)]["id"]
            depot.execute("UPDATE stock_lots SET quantity = 0 WHERE id = :id", id=lot)
    return moved


def threshold_of(days_left: int) -> int | None:
    if days_left < 0:
        return 0
    return next((days for days in (1, 7, 14, 30) if days_left <= days), None)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS)
def test_nothing_is_told_twice_and_nothing_is_lost(depot: Depot, steps: list[Step]) -> None:
    for table in ("stock_alerts", "notifications", "stock_lots", "warehouses"):
        depot.execute(f"DELETE FROM {table}")
    moved = play(depot, steps)
    depot.alert(NOON + moved)

    alerts = depot.rows(stock_alerts)
    told = sum(int(row["data"]["lots"]) for row in depot.notifications("stock_expiry"))
    assert told == sum(bool(row["notification_id"]) for row in alerts), "each is told once"
    assert all(row["notification_id"] or row["closed_at"] for row in alerts), "and none is not"
    by_lot = {lot_id: list(found) for lot_id, found in groupby(alerts, lambda row: row["lot_id"])}
    for lot in depot.rows(stock_lots):
        found = sorted(by_lot.get(lot["id"], []), key=lambda row: row["opened_at"])
        thresholds = [row["threshold_days"] for row in found]
        assert thresholds == sorted(thresholds, reverse=True), "none is looser than one before"
        still = [row["threshold_days"] for row in found if not row["closed_at"]]
        if lot["quantity"]:
            assert still == thresholds[-1:], "the tightest is open, and it alone"
            due = threshold_of((lot["expires_on"] - TODAY - moved).days)
            assert due is None or thresholds[-1] <= due
        else:
            assert still == []
