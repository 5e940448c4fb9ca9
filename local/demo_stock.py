"""The demo's stock: a lot that is about to expire, a loss that two people decide, their phones."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from rich.table import Table

from local.accounts import PASSWORD, PHONES
from local.demo_office import Office
from local.demo_story import DemoFailed, Story, data_of

PUSH_SECONDS = 60
LOOK_SECONDS = 0.1
DAYS_LEFT = 5
RECEIVED, LOST = 120, 15


@dataclass
class Handset:
    """Somebody's phone: what they ask by, and the token that pushes to it go by."""

    owner: str
    client: httpx.AsyncClient
    token: str = field(default_factory=lambda: f"demo-{secrets.token_urlsafe(48)}")

    async def register(self) -> None:
        device = {"token": self.token, "platform": "android", "appVersion": "1.0.0"}
        data_of(await self.client.put("/api/v1/devices", json=device))

    async def pushed(self, kind: str) -> dict[str, Any]:
        """Return the push of that kind that came to this phone, once it has."""
        give_up = time.monotonic() + PUSH_SECONDS
        while time.monotonic() < give_up:
            inbox = await self.client.get("/_local/push", params={"token": self.token})
            for push in inbox.json():
                if push["message"]["data"]["kind"] == kind:
                    message: dict[str, Any] = push["message"]
                    return message
            await asyncio.sleep(LOOK_SECONDS)
        raise DemoFailed(f"No push came to the {self.owner}'s phone within {PUSH_SECONDS} s.")


async def tell_of_stock(phone: httpx.AsyncClient, story: Story, office: Office) -> None:
    """Tell of a lot from its arrival to what is left of it; `phone` is the agent's."""
    agent = Handset("agent", phone)
    pushes: list[tuple[str, dict[str, Any]]] = []
    async with _manager(phone) as manager:
        with story.step("A warehouse manager signs in; both phones ask for pushes"):
            await manager.register()
            await agent.register()
        with story.step("Maize arrives, and is good for few days more"):
            lot = await _receive(manager)
            await office.until_told_of("stock_lots", lot["id"])
            story.console.print(
                f"  {lot['quantity']} {lot['unit']} of {lot['product']} in {lot['warehouse']},"
                f" until {lot['expiresOn']}"
            )
        with story.step("The daily look at what expires warns the manager"):
            answer = await phone.post("/_local/schedules/AlertExpiringStockSchedule")
            answer.raise_for_status()
            pushes.append(("manager", await manager.pushed("stock_expiry")))
        with story.step("The agent reports a loss, which somebody else is to approve"):
            loss = {"lotId": lot["id"], "quantity": LOST, "reason": "Weevils in two bags"}
            reported = data_of(await phone.post("/api/v1/stock/losses", json=loss))
            pushes.append(("manager", await manager.pushed("stock_loss_approval")))
        with story.step("The manager approves it, and the agent hears of it"):
            path = f"/api/v1/stock/losses/{reported['id']}/approve"
            decided = data_of(await manager.client.post(path))
            pushes.append(("agent", await agent.pushed("stock_loss_decision")))
            await office.until_told_of("stock_losses", reported["id"])
            story.console.print(f"  the loss is {decided['state']}; the office heard of it as well")
        left = await _left(manager, lot["id"])
        _show(story, pushes)
        story.console.print(f"{left:g} of {RECEIVED} {lot['unit']} are left of the lot.")


@asynccontextmanager
async def _manager(phone: httpx.AsyncClient) -> AsyncIterator[Handset]:
    async with httpx.AsyncClient(base_url=phone.base_url, timeout=30) as client:
        credentials = {"identifier": PHONES["warehouse_manager"], "password": PASSWORD}
        tokens = data_of(await client.post("/api/v1/auth/login", json=credentials))
        client.headers["Authorization"] = f"Bearer {tokens['accessToken']}"
        yield Handset("warehouse manager", client)


async def _receive(manager: Handset) -> dict[str, Any]:
    today = datetime.now(UTC).date()
    lot = {
        "product": "Maize",
        "quantity": RECEIVED,
        "unit": "kg",
        "warehouse": "Nakuru",
        "expiresOn": (today + timedelta(days=DAYS_LEFT)).isoformat(),
    }
    return data_of(await manager.client.post("/api/v1/stock/lots", json=lot))


async def _left(manager: Handset, lot_id: str) -> float:
    lots: Any = data_of(await manager.client.get("/api/v1/stock/lots"))
    return next(float(lot["quantity"]) for lot in lots if lot["id"] == lot_id)


def _show(story: Story, pushes: list[tuple[str, dict[str, Any]]]) -> None:
    table = Table("whose phone", "channel", "what it shows", title="Pushes")
    for owner, message in pushes:
        shown = message["notification"]
        channel = message["android"]["notification"]["channel_id"]
        table.add_row(owner, channel, f"{shown['title']}\n{shown['body']}")
    story.console.print(table)
