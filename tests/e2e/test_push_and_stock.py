"""Stock and pushes as phones know them: the deployed functions, the real SDK, FCM's stand-in."""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests import photos
from tests.e2e.conftest import Stack, finished, presign, send, wait_for


@dataclass
class Handset:
    """Somebody's phone, which takes pushes."""

    stack: Stack
    client: httpx.Client
    token: str = field(default_factory=lambda: f"e2e-{secrets.token_urlsafe(40)}")

    def register(self) -> str:
        answer = self.client.put("/api/v1/devices", json={"token": self.token, "platform": "ios"})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["data"]["deviceId"])

    def pushes(self) -> list[dict[str, Any]]:
        """Return what came, newest first."""
        inbox = httpx.get(f"{self.stack.url}/_local/push", params={"token": self.token})
        return [push["message"] for push in inbox.json()]

    def push_of(self, kind: str) -> dict[str, Any]:
        """Wait for a push of this kind."""

        def look() -> dict[str, Any] | None:
            return next((one for one in self.pushes() if one["data"]["kind"] == kind), None)

        return wait_for(look, every=0.2)

    def inbox(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.client.get("/api/v1/notifications").json()["data"]
        return found


@pytest.fixture
def handsets(stack: Stack) -> Iterator[tuple[Handset, Handset, Handset]]:
    """The phones of an agent, a warehouse manager and an admin."""
    with ExitStack() as clients:
        agent, manager, admin = (
            Handset(stack, clients.enter_context(stack.phone(role)))
            for role in ("agent", "warehouse_manager", "admin")
        )
        for one in (agent, manager, admin):
            one.register()
        yield agent, manager, admin


def receive(phone: httpx.Client, days: int, warehouse: str = "Kisumu") -> dict[str, Any]:
    """Add a lot that is good for so many days."""
    expires_on = datetime.now(UTC).date() + timedelta(days=days)
    lot = {"product": "Beans", "quantity": 40, "unit": "kg", "warehouse": warehouse}
    answer = phone.post("/api/v1/stock/lots", json=lot | {"expiresOn": expires_on.isoformat()})
    assert answer.status_code == 201, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


def report(phone: httpx.Client, lot: dict[str, Any], quantity: float) -> dict[str, Any]:
    loss = {"lotId": lot["id"], "quantity": quantity, "reason": "Wet"}
    answer = phone.post("/api/v1/stock/losses", json=loss)
    assert answer.status_code == 201, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


def decide(phone: httpx.Client, loss: dict[str, Any], how: str) -> httpx.Response:
    return phone.post(f"/api/v1/stock/losses/{loss['id']}/{how}")


def test_a_loss_goes_from_its_reporter_to_another_and_back(
    stack: Stack, handsets: tuple[Handset, Handset, Handset]
) -> None:
    agent, manager, _ = handsets
    lot = receive(manager.client, 200)
    loss = report(agent.client, lot, 12.5)
    assert loss["state"] == "pending"
    asked = manager.push_of("stock_loss_approval")
    assert asked["data"]["lossId"] == loss["id"]
    assert asked["android"]["priority"] == "high"
    assert asked["android"]["notification"]["channel_id"] == "stock_loss_approval"
    assert asked["android"]["notification"]["sound"] == "default"
    assert asked["apns"]["payload"]["aps"]["sound"] == "default"
    assert asked["apns"]["payload"]["aps"]["badge"] >= 1

    assert decide(agent.client, loss, "approve").status_code == 403
    assert decide(manager.client, loss, "approve").json()["data"]["state"] == "approved"
    assert decide(manager.client, loss, "reject").status_code == 409
    told = agent.push_of("stock_loss_decision")
    assert told["data"]["lossId"] == loss["id"]
    lots = agent.client.get("/api/v1/stock/lots").json()["data"]
    assert next(one for one in lots if one["id"] == lot["id"])["quantity"] == 27.5

    entry = next(one for one in agent.inbox() if one["id"] == told["data"]["notificationId"])
    assert entry["readAt"] is None
    read = agent.client.put(f"/api/v1/notifications/{entry['id']}/read")
    assert read.status_code == 200
    assert manager.client.put(f"/api/v1/notifications/{entry['id']}/read").status_code == 404


def test_who_may_approve_does_not_approve_their_own(
    handsets: tuple[Handset, Handset, Handset],
) -> None:
    _, manager, admin = handsets
    loss = report(manager.client, receive(manager.client, 200), 1)
    assert decide(manager.client, loss, "approve").status_code == 403
    assert admin.push_of("stock_loss_approval")["data"]["lossId"] == loss["id"]
    assert all(push["data"].get("lossId") != loss["id"] for push in manager.pushes()), (
        "whoever reported it is not asked"
    )
    assert decide(admin.client, loss, "reject").json()["data"]["state"] == "rejected"


def test_the_daily_look_warns_once_however_often_it_runs(
    stack: Stack, handsets: tuple[Handset, Handset, Handset]
) -> None:
    agent, manager, _ = handsets
    warehouse = f"Kitale {secrets.token_hex(4)}"
    for _ in range(3):
        receive(manager.client, 5, warehouse)
    for _ in range(2):
        stack.run_schedule("AlertExpiringStockSchedule")
    assert warehouse in str(manager.push_of("stock_expiry"))
    stack.run_schedule("AlertExpiringStockSchedule")
    # What comes later is told after whatever these rounds told.
    loss = report(agent.client, receive(manager.client, 200, warehouse), 1)
    wait_for(
        lambda: [one for one in manager.pushes() if one["data"].get("lossId") == loss["id"]],
        every=0.2,
    )
    warnings = [one for one in manager.inbox() if warehouse in one["body"] + one["title"]]
    assert [one["kind"] for one in warnings].count("stock_expiry") == 1
    assert "3" in next(one for one in warnings if one["kind"] == "stock_expiry")["title"]


def test_an_admin_tells_a_role_and_sees_how_far_it_is(
    handsets: tuple[Handset, Handset, Handset],
) -> None:
    agent, _, admin = handsets
    wanted = {
        "audience": {"roles": ["agent"]},
        "title": "Rain",
        "body": "Bring the maize in.",
        "data": {"region": "Rift Valley"},
    }
    answer = admin.client.post("/api/v1/notifications", json=wanted)
    assert answer.status_code == 202
    notification_id = answer.json()["data"]["notificationId"]
    push = wait_for(
        lambda: next(
            (one for one in agent.pushes() if one["data"]["notificationId"] == notification_id),
            None,
        ),
        every=0.2,
    )
    assert push["notification"] == {"title": "Rain", "body": "Bring the maize in."}
    assert push["data"]["region"] == "Rift Valley"

    def counts() -> dict[str, int] | None:
        path = f"/api/v1/notifications/{notification_id}"
        found: dict[str, Any] = admin.client.get(path).json()["data"]
        return found["counts"] if found["state"] == "done" else None

    done = wait_for(counts, every=0.5)
    assert done["sent"] >= 1
    assert done["queued"] == done["failed"] == 0
    assert agent.client.get(f"/api/v1/notifications/{notification_id}").status_code == 403


def test_after_logout_a_phone_hears_nothing(
    stack: Stack, handsets: tuple[Handset, Handset, Handset]
) -> None:
    agent, manager, admin = handsets
    assert agent.client.post("/api/v1/auth/logout", json={}).status_code == 204
    wanted = {"audience": {"roles": ["agent", "warehouse_manager"]}, "title": "T", "body": "B"}
    answer = admin.client.post("/api/v1/notifications", json=wanted)
    manager.push_of("general")
    assert answer.status_code == 202
    assert agent.pushes() == []


def test_what_the_provider_does_not_take_now_comes_later(
    stack: Stack, handsets: tuple[Handset, Handset, Handset]
) -> None:
    agent, _, admin = handsets
    # One failure is not yet reason enough to leave the provider alone.
    user_id = agent.client.get("/api/v1/auth/me").json()["data"]["id"]
    stack.break_("fcm", "error", 60)
    try:
        wanted = {"audience": {"userIds": [user_id]}, "title": "Late", "body": "B"}
        before = stack.said("pushed")
        assert admin.client.post("/api/v1/notifications", json=wanted).status_code == 202
        wait_for(lambda: stack.said("pushed") > before)
        assert agent.pushes() == []
    finally:
        stack.break_("fcm", "error", 0)
    # Its pause is 10 s or a little more.
    assert wait_for(agent.pushes, every=0.5)[0]["notification"]["title"] == "Late"


def test_a_setting_is_in_force_for_the_next_photo(
    handsets: tuple[Handset, Handset, Handset],
) -> None:
    agent, manager, admin = handsets
    path = "/api/v1/config/IMAGE_MAX_WIDTH"
    assert manager.client.put(path, json={"value": 400}).status_code == 403
    assert admin.client.put(path, json={"value": "wide"}).status_code == 400
    answer = admin.client.put(path, json={"value": 100})
    assert answer.status_code == 200, answer.text
    photo = photos.camera_jpeg(640, 480)

    def width() -> int:
        upload = presign(agent.client, photo)
        assert send(upload, photo).status_code == 200
        return int(finished(agent.client, upload["mediaId"])["variants"]["web"]["width"])

    try:
        # An environment that has read it before looks again after a quarter of a minute.
        wait_for(lambda: width() <= 100, 60, every=2)
    finally:
        back = admin.client.post(f"{path}/rollback", json={"version": 0})
    assert back.status_code == 200
    assert back.json()["data"]["active"] is False
    history = admin.client.get(f"{path}/history").json()["data"]
    assert [one["active"] for one in history[:2]] == [False, True]
    assert history[0]["actor"]


def test_an_admin_sees_how_each_dependency_does(
    stack: Stack, handsets: tuple[Handset, Handset, Handset]
) -> None:
    agent, _, admin = handsets
    assert agent.client.get("/health/dependencies").status_code == 403
    found = admin.client.get("/health/dependencies").json()["data"]
    states = {one["name"]: one["state"] for one in found["dependencies"]}
    assert states["database"] == states["cache"] == states["storage"] == "up"
    stack.break_("cache", "down", 60)
    try:
        found = admin.client.get("/health/dependencies").json()["data"]
    finally:
        stack.break_("cache", "down", 0)
    states = {one["name"]: one["state"] for one in found["dependencies"]}
    assert states["cache"] == "down"
    assert found["status"] == "Degraded"
