"""Clients that others wrote, unmodified, on the whole stack: SignalR's and a plain one."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import pytest
from pysignalr.client import SignalRClient
from pysignalr.messages import CompletionMessage

from tests import photos
from tests.conftest import run_sql
from tests.e2e.conftest import LongLife, Stack, bearer, finished, presign, send, wait_for
from tests.support.hub import HUB, Node, OrderRefused, plain

LONG_LIFE_SECONDS = 70


@pytest.fixture
def admin(stack: Stack, long_life: LongLife) -> Iterator[httpx.Client]:
    with stack.phone("admin") as client:
        yield client


def announce(admin: httpx.Client, entity_id: str, **audience: Any) -> None:
    """Have a change of a shipment told, to everybody unless `audience` says to whom."""
    body: dict[str, Any] = {"entityType": "shipments", "entityId": entity_id, "action": "moved"}
    body |= {"audience": audience} if audience else {}
    answer = admin.post("/api/v1/realtime/broadcast", json=body)
    assert answer.status_code == 202, answer.text


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def is_refetch(change: dict[str, Any]) -> bool:
    return (change["entityType"], change["entityId"], change["action"]) == ("*", "*", "refetch")


@pytest.mark.parametrize("skip_negotiation", [True, False], ids=["skipped", "negotiated"])
def test_a_signalr_app_starts_calls_and_hears(
    stack: Stack, admin: httpx.Client, agent: httpx.Client, node: Node, skip_negotiation: bool
) -> None:
    app = f"app {skip_negotiation}"
    node.start(app, stack.url, bearer(agent), skip_negotiation=skip_negotiation)
    node.told(app, "DataChanged", is_refetch)
    connection_id = node.invoke(app, "GetConnectionId")
    assert isinstance(connection_id, str)
    assert connection_id
    announce(admin, "for-everybody")
    change = node.told(app, "DataChanged", lambda it: it["entityId"] == "for-everybody")
    assert (change["entityType"], change["action"]) == ("shipments", "moved")
    assert change["offset"] > 0
    assert change["timestamp"].endswith("Z")
    node.stop(app)
    assert node.event(app, "closed")["error"] is None


def test_a_signalr_app_hears_of_its_own_photo_and_not_of_others(
    stack: Stack, agent: httpx.Client, admin: httpx.Client, node: Node
) -> None:
    with stack.phone("agent") as other:
        node.start("owner", stack.url, bearer(agent))
        node.start("other", stack.url, bearer(other))
        photo = photos.camera_jpeg(640, 480)
        upload = presign(agent, photo)
        assert send(upload, photo).status_code == 200
        assert finished(agent, upload["mediaId"])["state"] == "ready"
        offsets = []
        while True:
            change = node.told("owner", "DataChanged", lambda it: it["entityType"] == "media")
            assert change["entityId"] == upload["mediaId"]
            assert set(change) == {
                *("entityType", "entityId", "action", "timestamp", "epoch", "offset")
            }
            offsets.append(change["offset"])
            if change["action"] == "updated":
                break
        assert offsets == sorted(set(offsets))
        announce(admin, "after-the-photo")
        node.told("other", "DataChanged", lambda it: it["entityId"] == "after-the-photo")
        heard = [line for line in node.heard("other") if line["event"] == "DataChanged"]
        assert all(line["arguments"][0]["entityType"] != "media" for line in heard)
        node.stop("owner")
        node.stop("other")


def test_a_signalr_app_is_told_its_new_permissions(
    stack: Stack, agent: httpx.Client, admin: httpx.Client, node: Node
) -> None:
    user_id = agent.get("/api/v1/auth/me").json()["data"]["id"]
    node.start("promoted", stack.url, bearer(agent))
    changed = admin.put(f"/api/v1/users/{user_id}/roles", json={"roles": ["admin"]})
    assert changed.status_code == 200
    told = node.told("promoted", "PermissionsUpdated")
    assert told["userId"] == user_id
    assert told["permissions"] == changed.json()["data"]["permissions"]
    assert "users:write" in told["permissions"]
    node.stop("promoted")


def test_after_logout_a_signalr_app_is_put_out_and_not_let_in_again(
    stack: Stack, admin: httpx.Client, node: Node
) -> None:
    with stack.phone("agent") as phone:
        node.start("leaver", stack.url, bearer(phone), retry_delays=[0, 200])
        asked = stack.function("identity.authorize_connection")["invocations"]
        let_in = stack.function("realtime.on_connect")["invocations"]
        assert phone.post("/api/v1/auth/logout").status_code == 204
        node.event("leaver", "reconnecting")
        node.event("leaver", "closed")
        assert node.state("leaver") == "Disconnected"
        assert stack.function("identity.authorize_connection")["invocations"] == asked + 2
        assert stack.function("realtime.on_connect")["invocations"] == let_in


def test_when_its_token_ends_a_signalr_app_comes_back_with_a_new_one(
    stack: Stack, admin: httpx.Client, agent: httpx.Client, node: Node
) -> None:
    node.start("renewed", stack.url, bearer(agent), retry_delays=[0, 200, 1000])
    before = node.invoke("renewed", "GetConnectionId")
    node.told("renewed", "DataChanged", is_refetch)
    old = bearer(agent)
    # Times in tokens are in whole seconds.
    wait_for(lambda: time.time() >= claims_of(old)["iat"] + 1)
    new = stack.renew(agent)
    assert claims_of(new)["exp"] > claims_of(old)["exp"]
    node.token("renewed", new)
    expire = f"UPDATE realtime_connections SET token_expires_at = now() WHERE id = '{before}'"
    run_sql(stack.address("database"), expire)
    stack.run_schedule("SweepConnectionsSchedule")
    node.event("renewed", "reconnecting")
    node.event("renewed", "reconnected")
    after = node.invoke("renewed", "GetConnectionId")
    assert after != before
    expiry = "SELECT extract(epoch FROM token_expires_at)::int FROM realtime_connections"
    rows = run_sql(stack.address("database"), f"{expiry} WHERE id = '{after}'")
    assert rows == [(claims_of(new)["exp"],)]
    node.told("renewed", "DataChanged", is_refetch)
    node.stop("renewed")


def test_what_a_signalr_app_asks_wrongly_it_is_told(
    stack: Stack, admin: httpx.Client, agent: httpx.Client, node: Node
) -> None:
    node.start("curious", stack.url, bearer(agent))
    with pytest.raises(OrderRefused, match=r"^Method does not exist\.$"):
        node.invoke("curious", "GetEverything")
    with pytest.raises(OrderRefused, match=r"^Nothing is streamed here\.$"):
        node.stream("curious", "GetConnectionId")
    with pytest.raises(OrderRefused, match="permission"):
        node.invoke("curious", "Subscribe", ["users"])
    assert node.invoke("curious", "Subscribe", ["shipments"]) == {"channels": ["shipments"]}
    assert node.state("curious") == "Connected"
    node.stop("curious")


def test_a_signalr_app_resumes_after_a_gap(
    stack: Stack, admin: httpx.Client, agent: httpx.Client, node: Node
) -> None:
    node.start("traveller", stack.url, bearer(agent))
    node.invoke("traveller", "Subscribe", ["shipments:7"])
    announce(admin, "7", channels=["shipments:7"])
    last = node.told("traveller", "DataChanged", lambda it: it["entityId"] == "7")
    node.stop("traveller")
    announce(admin, "missed")
    announce(admin, "8", channels=["shipments:8"])
    with plain(stack.url, bearer(agent)) as witness:
        announce(admin, "witnessed")
        witness.update("witnessed")
    node.start("traveller", stack.url, bearer(agent))
    replay = node.invoke("traveller", "Resume", last["epoch"], last["offset"])
    assert (replay["epoch"], replay["recovered"], replay["more"]) == (last["epoch"], True, False)
    ids = [event["data"]["entityId"] for event in replay["events"]]
    assert ids[:1] == ["missed"]
    assert ids[-1:] == ["witnessed"]
    assert "8" not in ids
    node.stop("traveller")


def test_pysignalr_starts_hears_and_calls(stack: Stack, admin: httpx.Client) -> None:
    async def story(token: str) -> None:
        # Not by its access_token_factory, which it asks too late, when it is connected.
        client = SignalRClient(stack.url + HUB, headers={"Authorization": f"Bearer {token}"})
        opened, changes, answers = asyncio.Event(), asyncio.Queue[Any](), asyncio.Queue[Any]()

        async def on_open() -> None:
            opened.set()

        async def on_change(arguments: Any) -> None:
            await changes.put(arguments[0])

        async def on_error(_: CompletionMessage) -> None:
            """Have it go on; what is wrong comes with the answer as well."""

        client.on_open(on_open)
        client.on_error(on_error)
        client.on("DataChanged", on_change)
        running = asyncio.create_task(client.run())
        await opened.wait()
        assert is_refetch(await changes.get())
        await client.send("GetConnectionId", [], answers.put)
        assert isinstance((await answers.get()).result, str)
        await client.send("GetEverything", [], answers.put)
        assert (await answers.get()).error == "Method does not exist."
        await asyncio.to_thread(announce, admin, "for-pysignalr")
        while (await changes.get())["entityId"] != "for-pysignalr":
            pass
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    with stack.phone("agent") as phone:
        asyncio.run(asyncio.wait_for(story(bearer(phone)), 20))


def test_a_plain_client_that_lost_its_network_catches_up(
    stack: Stack, admin: httpx.Client, agent: httpx.Client
) -> None:
    with plain(stack.url, bearer(agent)) as hub:
        hub.send({"action": "ping"})
        assert hub.receive() == {"type": "pong"}
        answer = hub.ask({"action": "subscribe", "channels": ["shipments:1", "shipments:2"]})
        assert (answer["type"], answer["channels"]) == (
            "subscribed",
            ["shipments:1", "shipments:2"],
        )
        answer = hub.ask({"action": "unsubscribe", "channels": ["shipments:2"]})
        assert (answer["type"], answer["channels"]) == ("unsubscribed", ["shipments:1"])
        for entity_id in ("2", "1"):
            announce(admin, entity_id, channels=[f"shipments:{entity_id}"])
        last = hub.update("1")
        assert last | {"timestamp": "", "epoch": "", "offset": 0} == {
            "type": "update",
            "channel": "shipments:1",
            "event": "moved",
            "data": {"entityType": "shipments", "entityId": "1", "action": "moved"},
            "timestamp": "",
            "epoch": "",
            "offset": 0,
        }
        assert all(seen["data"]["entityId"] != "2" for seen in hub.seen if "data" in seen)
        hub.connection.socket.close()  # the network is gone, and nobody is told
    missed = [f"while-away-{n}" for n in range(3)]
    for entity_id in missed:
        announce(admin, entity_id)
    position = {"epoch": last["epoch"], "offset": last["offset"]}

    def caught_up(hub: Any) -> list[str]:
        answer = hub.ask({"action": "resume"} | position)
        assert (answer["type"], answer["recovered"]) == ("resumed", True)
        offsets = [event["offset"] for event in answer["events"]]
        assert offsets == sorted(offsets)
        live = [seen for seen in hub.seen if seen["type"] == "update"]
        found = {event["offset"]: event for event in [*answer["events"], *live]}
        return [found[offset]["data"].get("entityId", "") for offset in sorted(found)]

    with plain(stack.url, bearer(agent)) as hub:
        # What was announced last may be on its way still.
        give_up = time.monotonic() + 20
        while missed != [one for one in caught_up(hub) if one.startswith("while-away")]:
            assert time.monotonic() < give_up
    query = {"epoch": last["epoch"], "after": last["offset"]}
    events = agent.get("/api/v1/realtime/events", params=query).json()["data"]["events"]
    ids = [event["data"].get("entityId", "") for event in events]
    assert missed == [one for one in ids if one.startswith("while-away")]


def test_a_signalr_connection_lives_on_its_pings(
    stack: Stack, admin: httpx.Client, long_life: LongLife, node: Node
) -> None:
    until = long_life.since + LONG_LIFE_SECONDS
    wait_for(lambda: time.monotonic() > until, LONG_LIFE_SECONDS + 1)
    assert node.state(long_life.name) == "Connected"
    announce(admin, "after-a-long-time")
    node.told(long_life.name, "DataChanged", lambda it: it["entityId"] == "after-a-long-time")
    events = {line["event"] for line in node.heard(long_life.name)}
    assert events <= {"DataChanged", "PermissionsUpdated"}
