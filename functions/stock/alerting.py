"""Warning of lots that are about to expire, once a day.

A round goes through the warehouses. Of each it opens the alerts that are due, in batches, and when
all are there, tells of those that nobody was told of: one notification, with what says so in the
same transaction. Killed anywhere, it leaves alerts that the next round opens or tells. Rounds at
the same time take turns at a warehouse, and whoever comes to its end first tells of all of it.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from fieldgate import deadline, request_id
from fieldgate.db.engine import Database
from fieldgate.errors import Unavailable
from fieldgate.observability import gauge, logger
from fieldgate.push.notifying import notify
from stock import alert_store, wording
from stock.alert_store import Page, Place

ACTOR = "system:alert_expiring_stock"
BATCH = 1_000
EXAMPLES = 3


@dataclass
class Round:
    """What a round works with, and how many alerts it opened, closed and told."""

    database: Database
    at: datetime | None = None
    done: Counter[str] = field(default_factory=lambda: Counter(opened=0, closed=0, told=0))

    def transact[T](self, work: Callable[[Connection], T]) -> T:
        return self.database.transact(work, actor=ACTOR, request_id=request_id.current())


def alert(
    database: Database, wake: Callable[[], None], at: datetime | None = None
) -> dict[str, int]:
    """Open, close and tell of alerts as of now, or as of `at`; say how many.

    What can't be done for one warehouse keeps no other from being warned. `wake` is called once
    there is something to push.

    Raises:
        Unavailable: not everything was done; the log says what. To be tried again: what was done
            is not done twice.

    """
    work = Round(database, at)
    failures = 0
    try:
        for warehouse in database.read(partial(alert_store.warehouses_concerned, at=at)):
            failures += not _attempt(warehouse, partial(_warn, work, warehouse))
    finally:
        _report(work, wake)
    if failures:
        raise Unavailable(f"The alerts of {failures} warehouses could not be seen to.")
    return dict(work.done)


def open_due(work: Round, warehouse: str) -> None:
    """Open the alerts that are due in a warehouse.

    Lots that somebody holds are come back to, and waited for.
    """
    if _go_through(work, warehouse, wait=False):
        _go_through(work, warehouse, wait=True)


def tell(work: Round, warehouse: str) -> None:
    """Tell of all open alerts of a warehouse that nobody was told of, in one notification."""

    def change(connection: Connection) -> int:
        alert_store.lock_warehouse(connection, warehouse, work.at)
        lots = alert_store.count_untold(connection, warehouse)
        if not lots:
            return 0
        examples = alert_store.untold_examples(connection, warehouse, EXAMPLES)
        notification_id = notify(connection, wording.expiring(warehouse, lots, examples))
        return alert_store.mark_told(connection, warehouse, notification_id)

    work.done["told"] += work.transact(change)


def _warn(work: Round, warehouse: str) -> None:
    open_due(work, warehouse)
    tell(work, warehouse)


def _go_through(work: Round, warehouse: str, *, wait: bool) -> int:
    """Look at a warehouse's lots that may be due, page by page; say how many were passed over."""
    after = Place()

    def change(connection: Connection) -> Page:
        today = alert_store.lock_warehouse(connection, warehouse, work.at)
        return alert_store.open_page(connection, warehouse, today, after, BATCH, wait=wait)

    passed_over, looked_at = 0, BATCH
    while looked_at == BATCH:
        page = work.transact(change)
        after, looked_at = page.end, page.looked_at
        passed_over += page.passed_over
        work.done["opened"] += page.opened
        work.done["closed"] += page.superseded
    return passed_over


def _attempt(name: str, do: Callable[[], None]) -> bool:
    """Say whether it was done. After the deadline nothing is."""
    try:
        do()
    except (Unavailable, DBAPIError):
        if deadline.is_left():
            logger().exception("alerts not seen to", extra={"what": name})
        return False
    return True


def _report(work: Round, wake: Callable[[], None]) -> None:
    if work.done["told"]:
        wake()
    gauge("StockAlertsOpened", work.done["opened"])
    gauge("StockAlertsTold", work.done["told"])
    gauge("StockAlertsClosed", work.done["closed"])
    logger().info("alerts seen to", extra={"done": dict(work.done)})
