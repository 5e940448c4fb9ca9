"""A warehouse's people and their lots on a real database, and requests as their phones send them.

depot.add_lot(expires_on=date(2026, 3, 1), warehouse="Honolulu")
depot.alert(at=datetime(2026, 2, 22, tzinfo=UTC))
assert depot.open_alerts() == {lot_id: 7}
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import count
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from fieldgate.db.engine import Database
from fieldgate.db.tables.push import notification_recipients, notifications
from fieldgate.db.tables.stock import stock_alerts, stock_losses, stock_lots, warehouses
from fieldgate.http.idempotency import IdempotentRequest
from stock import (
    alerting,
    create_lot,
    decide_loss,
    deciding,
    list_losses,
    list_lots,
    report_loss,
    set_warehouse,
)
from stock.loss_store import Verdict
from tests.support.gateway import Answer, call, signed_in
from tests.support.people import Person, register

BASE = "/api/v1/stock"
NAIROBI = "Africa/Nairobi"
# A day that tests count from, at noon in Nairobi.
TODAY = date(2026, 3, 2)
NOON = datetime(2026, 3, 2, 9, tzinfo=UTC)
# What a warehouse manager may do.
ALL = ("stock:read", "stock:write", "stock:approve", "stock:alerts")
_numbers = count(1)


@dataclass
class Depot:
    """`agent` reports losses, `manager` decides on them; `woken` is how often pushers were."""

    database: Database
    agent: UUID = field(init=False)
    manager: UUID = field(init=False)
    woken: int = 0

    def __post_init__(self) -> None:
        """Have the two in the database."""
        self.agent = self.add_person("agent")
        self.manager = self.add_person("warehouse_manager")

    def add_person(self, role: str) -> UUID:
        number = next(_numbers)
        person = Person(
            "", None, phone=f"+2547{number:08}", email=None, name=f"Person {number}", roles=(role,)
        )
        return register(self.database, person).id

    def add_warehouse(self, name: str, time_zone: str = NAIROBI) -> None:
        row = {"name": name, "time_zone": time_zone}
        statement = upsert(warehouses).values(row).on_conflict_do_nothing()
        self.database.transact(lambda connection: connection.execute(statement), actor="tests")

    def add_lot(self, **values: Any) -> UUID:
        """Add 40 kg of beans in Kisumu that are good for a year; `values` are of its row."""
        row: dict[str, Any] = {"product": "Beans", "warehouse": "Kisumu", "unit": "kg"}
        row |= {"quantity": 40, "expires_on": date(2027, 3, 2), "created_by": self.agent} | values
        row.setdefault("received", row["quantity"] or 1)
        self.add_warehouse(row["warehouse"])
        statement = insert(stock_lots).values(row).returning(stock_lots.c.id)
        lot_id: UUID = self.database.transact(
            lambda connection: connection.execute(statement).scalar_one(), actor="tests"
        )
        return lot_id

    def alert(self, at: datetime | None = NOON) -> dict[str, int]:
        """Make a round as the schedule does, as if it were then."""

        def wake() -> None:
            self.woken += 1

        return alerting.alert(self.database, wake, at)

    # Requests

    def request(
        self,
        handler: Any,
        method: str,
        path: str,
        by: UUID,
        *,
        may: tuple[str, ...] = ALL,
        key: str | None = None,
        **rest: Any,
    ) -> Answer:
        headers = {"Idempotency-Key": key} if key else {}
        authorizer = signed_in(by, permissions=may)
        return call(handler, method, path, headers=headers, authorizer=authorizer, **rest)

    def create(self, *, key: str | None = None, **content: Any) -> Answer:
        """Register 40 kg of beans; a value of `...` leaves the field out."""
        wanted = {"product": "Beans", "quantity": 40, "unit": "kg", "warehouse": "Kisumu"}
        wanted |= {"expiresOn": "2027-03-02"} | content
        found = {name: value for name, value in wanted.items() if value is not ...}
        return self.request(
            create_lot.handler, "POST", f"{BASE}/lots", self.agent, key=key, content=found
        )

    def lots(self, **query: str) -> Answer:
        return self.request(list_lots.handler, "GET", f"{BASE}/lots", self.agent, query=query)

    def report(
        self, lot_id: object, quantity: Any = 5, *, key: str | None = None, **content: Any
    ) -> Answer:
        """Report a loss of a lot; a value of `...` leaves the field out."""
        wanted = {"lotId": str(lot_id), "quantity": quantity, "reason": "Wet"} | content
        found = {name: value for name, value in wanted.items() if value is not ...}
        return self.request(
            report_loss.handler, "POST", f"{BASE}/losses", self.agent, key=key, content=found
        )

    def reported(self, lot_id: object, quantity: Any = 5) -> str:
        """Report a loss; return its id."""
        loss_id: str = self.report(lot_id, quantity).data["id"]
        return loss_id

    def decide(
        self, loss_id: object, how: str = "approve", *, by: UUID | None = None, **rest: Any
    ) -> Answer:
        path = f"{BASE}/losses/{loss_id}/{how}"
        route = f"POST {BASE}/losses/{{id}}/{how}"
        by = by or self.manager
        return self.request(decide_loss.handler, "POST", path, by, route=route, **rest)

    def decide_on(
        self,
        loss_id: str,
        database: Database,
        *,
        verdict: Verdict = "approved",
        by: UUID | None = None,
        key: str | None = None,
    ) -> str:
        """Decide as `decide`, past HTTP, on a connection of one's own; return the state."""
        request = IdempotentRequest("decide_loss", key, b"")
        view = deciding.decide(request, database, UUID(loss_id), verdict, by or self.manager)
        return view.state

    def losses(self, **query: str) -> Answer:
        return self.request(list_losses.handler, "GET", f"{BASE}/losses", self.agent, query=query)

    def set_zone(self, path_name: str, content: Any, **rest: Any) -> Answer:
        path = f"{BASE}/warehouses/{path_name}"
        route = f"PUT {BASE}/warehouses/{{name}}"
        rest = {"content": content, "route": route} | rest
        return self.request(set_warehouse.handler, "PUT", path, self.manager, **rest)

    # What is there

    def rows(self, table: Any) -> list[Mapping[str, Any]]:
        statement = select(table).order_by(*table.primary_key)
        return self.database.read(
            lambda connection: [dict(row) for row in connection.execute(statement).mappings()]
        )

    def left_of(self, lot_id: UUID) -> float:
        (row,) = (row for row in self.rows(stock_lots) if row["id"] == lot_id)
        return float(row["quantity"])

    def loss(self, loss_id: object) -> Mapping[str, Any]:
        (row,) = (row for row in self.rows(stock_losses) if str(row["id"]) == str(loss_id))
        return row

    def alerts(self, lot_id: UUID) -> list[tuple[int, str]]:
        """Return a lot's alerts, loosest first: threshold, and `open` or why it is closed."""
        found = (row for row in self.rows(stock_alerts) if row["lot_id"] == lot_id)
        return [(row["threshold_days"], row["closed_reason"] or "open") for row in found][::-1]

    def open_alerts(self) -> dict[UUID, int]:
        found = (row for row in self.rows(stock_alerts) if not row["closed_at"])
        return {row["lot_id"]: row["threshold_days"] for row in found}

    def untold(self) -> int:
        return sum(not row["notification_id"] for row in self.rows(stock_alerts))

    def notifications(self, kind: str) -> list[Mapping[str, Any]]:
        """Return the notifications of a kind, oldest first."""
        return [row for row in self.rows(notifications) if row["kind"] == kind]

    def titles(self) -> list[str]:
        """Return what was told of lots that expire."""
        return [row["title"] for row in self.notifications("stock_expiry")]

    def told(self, notification_id: UUID) -> set[UUID]:
        """Return who has a notification in their inbox."""
        found = self.rows(notification_recipients)
        return {row["user_id"] for row in found if row["notification_id"] == notification_id}

    def execute(self, statement: str, **values: Any) -> None:
        """Change something past everything of ours."""
        self.database.transact(lambda connection: connection.execute(text(statement), values))
