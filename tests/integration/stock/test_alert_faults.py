"""Rounds that meet others, are killed, run out of time, or find something broken."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import date, datetime, timedelta
from functools import partial
from uuid import UUID

import pytest
from sqlalchemy import Connection, text

from fieldgate import deadline
from fieldgate.db.engine import Database
from fieldgate.db.tables.stock import stock_alerts, stock_lots
from fieldgate.db.url import parse_url
from fieldgate.errors import Unavailable
from stock import alert_expiring_stock, alerting
from stock.alerting import Round, alert, open_due, tell
from tests.support.gateway import LambdaContext
from tests.support.log import Log
from tests.support.lost_commits import lost_commit
from tests.support.racing import race, waiting
from tests.support.stock import NOON, TODAY, Depot

DAY = timedelta(days=1)
SOON = TODAY + 5 * DAY


@contextmanager
def another(url: str) -> Iterator[Connection]:
    """A transaction of somebody else's, until the block is left."""
    with (
        closing(Database(lambda: parse_url(url, "the test"))) as database,
        database.engine.connect() as connection,
    ):
        yield connection
        connection.rollback()


def hold(connection: Connection, table: str, key: str, value: object) -> None:
    statement = f"SELECT FROM {table} WHERE {key} = :value FOR UPDATE"
    connection.execute(text(statement), {"value": value})


def add_lots(depot: Depot, number: int, warehouse: str = "Kisumu") -> list[UUID]:
    return [depot.add_lot(expires_on=SOON, warehouse=warehouse) for _ in range(number)]


def look(database: Database, at: datetime = NOON) -> dict[str, int]:
    return alert(database, lambda: None, at)


def told(depot: Depot) -> int:
    """Return how many lots the notifications speak of, all together."""
    return sum(int(row["data"]["lots"]) for row in depot.notifications("stock_expiry"))


# At once


def test_rounds_at_once_tell_of_each_warehouse_once(
    depot: Depot, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerting, "BATCH", 7)
    for warehouse, number in (("Kisumu", 50), ("Nakuru", 21), ("Thika", 3)):
        add_lots(depot, number, warehouse)
    rounds = race(database_url, [look] * 6)
    assert sum(done["opened"] for done in rounds) == 74
    assert sum(done["told"] for done in rounds) == 74
    assert sorted(depot.titles()) == [
        "21 lots expire this week",
        "3 lots expire this week",
        "50 lots expire this week",
    ]
    assert depot.untold() == 0


def test_rounds_of_different_days_at_once_leave_one_alert_open_of_a_lot(
    depot: Depot, database_url: str
) -> None:
    lots = add_lots(depot, 20)
    days = [NOON, NOON + 4 * DAY, NOON + 6 * DAY] * 2
    race(database_url, [partial(look, at=at) for at in days])
    assert depot.open_alerts() == dict.fromkeys(lots, 0)
    assert sum(not row["closed_at"] for row in depot.rows(stock_alerts)) == len(lots)


def test_rounds_and_approvals_at_once_leave_no_alert_of_a_lot_that_is_gone(
    depot: Depot, database_url: str
) -> None:
    lots = [depot.add_lot(expires_on=SOON, quantity=1) for _ in range(30)]
    losses = [depot.reported(lot_id, 1) for lot_id in lots[:12]]
    works: list[Callable[[Database], object]] = [look, look, look]
    works += [partial(depot.decide_on, loss_id) for loss_id in losses]
    race(database_url, works)
    depot.alert()
    assert {row["id"] for row in depot.rows(stock_lots) if not row["quantity"]} == set(lots[:12])
    assert depot.open_alerts() == dict.fromkeys(lots[12:], 7)
    untold = [row for row in depot.rows(stock_alerts) if not row["notification_id"]]
    assert {row["closed_reason"] for row in untold} <= {"gone"}


@pytest.mark.parametrize("left", [40, 0])
def test_a_lot_that_somebody_holds_keeps_no_other_back_and_is_waited_for(
    depot: Depot, database_url: str, left: int
) -> None:
    held, *others = add_lots(depot, 5)
    with (
        another(database_url) as theirs,
        closing(Database(lambda: parse_url(database_url, "the test"))) as ours,
        ThreadPoolExecutor(1) as thread,
    ):
        values = {"id": held, "left": left}
        theirs.execute(text("UPDATE stock_lots SET quantity = :left WHERE id = :id"), values)
        opening = waiting(thread.submit(open_due, Round(ours, NOON), "Kisumu"), theirs)
        assert depot.open_alerts() == dict.fromkeys(others, 7)
        theirs.commit()
        opening.result()
    assert depot.open_alerts() == dict.fromkeys([held, *others] if left else others, 7)


# Killed


def test_killed_between_opening_and_telling_the_next_round_tells(depot: Depot) -> None:
    add_lots(depot, 3)
    open_due(Round(depot.database, NOON), "Kisumu")
    assert (depot.untold(), depot.titles()) == (3, [])
    assert depot.alert() == {"opened": 0, "closed": 0, "told": 3}
    assert depot.titles() == ["3 lots expire this week"]


def test_what_was_not_told_in_time_is_told_of_by_its_tighter_alert_alone(depot: Depot) -> None:
    (lot_id,) = add_lots(depot, 1)
    open_due(Round(depot.database, NOON), "Kisumu")
    depot.alert(NOON + 4 * DAY)
    assert depot.alerts(lot_id) == [(7, "superseded"), (1, "open")]
    assert depot.titles() == ["1 lot expires by tomorrow"]


@pytest.mark.parametrize("saved", [True, False])
def test_killed_while_it_tells_all_is_told_once(
    depot: Depot, environment: pytest.MonkeyPatch, saved: bool
) -> None:
    add_lots(depot, 3)
    work = Round(depot.database, NOON)
    open_due(work, "Kisumu")
    with lost_commit(depot.database, environment, saved=saved), pytest.raises(Unavailable):
        tell(work, "Kisumu")
    assert len(depot.titles()) == int(saved)
    depot.alert()
    assert depot.titles() == ["3 lots expire this week"]
    assert depot.untold() == 0


@pytest.mark.parametrize("saved", [True, False])
def test_killed_while_it_opens_all_is_told_once(
    depot: Depot, environment: pytest.MonkeyPatch, saved: bool
) -> None:
    add_lots(depot, 3)
    work = Round(depot.database, NOON)
    with lost_commit(depot.database, environment, saved=saved), pytest.raises(Unavailable):
        open_due(work, "Kisumu")
    assert len(depot.open_alerts()) == (3 if saved else 0)
    depot.alert()
    assert depot.titles() == ["3 lots expire this week"]


# Out of time, or broken


def test_what_there_is_no_time_left_for_is_told_by_the_next_round(
    depot: Depot, database_url: str, log: Log
) -> None:
    add_lots(depot, 2, "Kisumu")
    add_lots(depot, 3, "Nakuru")
    add_lots(depot, 4, "Thika")
    with another(database_url) as theirs:
        hold(theirs, "warehouses", "name", "Nakuru")
        with deadline.within(0.5), pytest.raises(Unavailable):
            depot.alert()
    assert depot.titles() == ["2 lots expire this week"]
    assert depot.woken == 1, "for what was told"
    assert log.said("alerts not seen to") == [], "it is nobody's fault"
    depot.alert()
    assert depot.titles()[1:] == ["3 lots expire this week", "4 lots expire this week"]
    assert told(depot) == 9


def test_with_no_time_at_all_it_says_so_and_does_nothing(depot: Depot) -> None:
    add_lots(depot, 1)
    with deadline.within(0), pytest.raises(Unavailable):
        depot.alert()
    assert depot.open_alerts() == {}


def test_a_warehouse_that_can_not_be_looked_at_keeps_no_other_from_being_warned(
    depot: Depot, log: Log
) -> None:
    for warehouse in ("Kisumu", "Nakuru", "Thika"):
        add_lots(depot, 1, warehouse)
    depot.execute("UPDATE warehouses SET time_zone = 'Mars/Olympus' WHERE name = 'Nakuru'")
    with pytest.raises(Unavailable):
        depot.alert()
    bodies = [row["body"] for row in depot.notifications("stock_expiry")]
    assert [body.partition(":")[0] for body in bodies] == ["Kisumu", "Thika"]
    (line,) = log.said("alerts not seen to")
    assert (line["level"], line["what"]) == ("ERROR", "Nakuru")
    depot.execute("UPDATE warehouses SET time_zone = 'Africa/Cairo' WHERE name = 'Nakuru'")
    assert depot.alert()["told"] == 1


def test_where_another_round_has_not_ended_lambda_tries_again(depot: Depot) -> None:
    """A round that was killed leaves its lease behind, and the schedule's next is a day away."""
    depot.add_lot(expires_on=date(2020, 1, 1))
    depot.execute(
        "INSERT INTO schedule_leases (name, holder, leased_until)"
        " VALUES ('alert_expiring_stock', uuidv7(), now() + interval '1 minute')"
    )
    event = {"id": "of-an-event"}
    with pytest.raises(Unavailable):
        alert_expiring_stock.handler(event, LambdaContext(9_000))
    depot.execute("UPDATE schedule_leases SET leased_until = now()")
    assert alert_expiring_stock.handler(event, LambdaContext(60_000))["told"] == 1
