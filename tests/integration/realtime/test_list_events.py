"""GET /api/v1/realtime/events: the route around the replay."""

import uuid
from typing import Any
from uuid import UUID

import pytest

from fieldgate.db.engine import Database
from realtime import list_events
from tests.support.gateway import Answer, call, signed_in
from tests.support.stream import Stream, new_event

PATH = "/api/v1/realtime/events"
ME = UUID("01989f3c-7a5e-7b7e-8a34-52b1c0a9d009")


@pytest.fixture
def stream(live_database: Database) -> Stream:
    return Stream(live_database)


def ask(permissions: list[str] | None = None, **query: Any) -> Answer:
    caller = signed_in(ME, roles=["agent"], permissions=permissions or [])
    values = {name: str(value) for name, value in query.items()}
    return call(list_events.handler, "GET", PATH, query=values, authorizer=caller)


def offsets(answer: Answer) -> list[int]:
    assert answer.status == 200, answer.body
    return [event["offset"] for event in answer.data["events"]]


def test_an_event_is_told_as_plain_json(stream: Stream) -> None:
    event = new_event("all")
    stream.append(event)
    epoch = str(stream.stream_row()["epoch"])
    answer = ask(epoch=epoch, after=0)
    assert answer.status == 200
    assert answer.data == {
        "epoch": epoch,
        "offset": 1,
        "recovered": True,
        "more": False,
        "events": [
            {
                "type": "update",
                "channel": "shipments:1",
                "event": "updated",
                "data": {"entityType": "shipments", "entityId": "1", "action": "updated"},
                "timestamp": event.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                "epoch": epoch,
                "offset": 1,
            }
        ],
    }


def test_permissions_are_told_as_they_are_now(stream: Stream) -> None:
    stream.append(
        new_event(f"user:{ME}", kind="permissions", entity_type="users", entity_id=str(ME))
    )
    answer = ask(["media:write", "media:read"], epoch=stream.stream_row()["epoch"])
    (event,) = answer.data["events"]
    assert event["event"] == "permissions_updated"
    assert event["data"] == {"userId": str(ME), "permissions": ["media:read", "media:write"]}


def test_without_an_epoch_one_learns_where_the_stream_is(stream: Stream) -> None:
    stream.append(new_event(), new_event())
    data = ask().data
    assert (data["recovered"], data["offset"], data["events"]) == (False, 2, [])
    assert ask(after=1).data == data


def test_pages_and_what_is_not_recovered(stream: Stream) -> None:
    stream.append(*(new_event() for _ in range(5)))
    epoch = stream.stream_row()["epoch"]
    first = ask(epoch=epoch, after=0, limit=3)
    assert (offsets(first), first.data["more"], first.data["offset"]) == ([1, 2, 3], True, 3)
    second = ask(epoch=epoch, after=3, limit=3)
    assert (offsets(second), second.data["more"], second.data["offset"]) == ([4, 5], False, 5)
    for answer in (ask(epoch=epoch, after=6), ask(epoch=uuid.uuid4(), after=3)):
        assert (answer.data["recovered"], answer.data["offset"]) == (False, 5)
        assert offsets(answer) == []


def test_one_sees_one_s_own_one_s_role_s_and_the_channels_one_names(stream: Stream) -> None:
    stream.append(
        new_event(f"user:{ME}"),
        new_event(f"user:{uuid.uuid4()}"),
        new_event("role:agent"),
        new_event("role:admin"),
        new_event("channel:stock"),
        new_event("channel:shipments:1"),
        new_event("channel:media"),
    )
    epoch = stream.stream_row()["epoch"]
    assert offsets(ask(epoch=epoch)) == [1, 3]
    assert offsets(ask(epoch=epoch, channels="stock,shipments:1,stock")) == [1, 3, 5, 6]
    assert offsets(ask(["media:read_all"], epoch=epoch, channels="media")) == [1, 3, 7]


@pytest.mark.parametrize("channels", ["media", "stock,media:7", "users:1"])
def test_a_channel_that_is_not_theirs_is_refused(stream: Stream, channels: str) -> None:
    answer = ask(["media:read"], channels=channels)
    assert (answer.status, answer.error["code"]) == (403, "FORBIDDEN")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"epoch": "now"}, "epoch"),
        ({"epoch": ""}, "epoch"),
        ({"after": -1}, "after"),
        ({"after": 2**63}, "after"),
        ({"after": "1.5"}, "after"),
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"channels": ""}, "channels"),
        ({"channels": "stock,"}, "channels"),
        ({"channels": "Stock"}, "channels"),
        ({"channels": "stock:a:b"}, "channels"),
        ({"channels": ",".join(f"c{n}" for n in range(101))}, "channels"),
        ({"before": 1}, "before"),
    ],
)
def test_what_is_refused_of_a_query(stream: Stream, query: dict[str, Any], field: str) -> None:
    answer = ask(**query)
    assert (answer.status, answer.error["code"]) == (400, "VALIDATION_ERROR")
    assert [detail["field"] for detail in answer.error["details"]] == [field]


def test_the_far_end_of_offsets_is_none_of_the_stream(stream: Stream) -> None:
    answer = ask(epoch=stream.stream_row()["epoch"], after=2**63 - 1)
    assert answer.data["recovered"] is False


def test_it_takes_a_token(stream: Stream) -> None:
    assert call(list_events.handler, "GET", PATH).status == 401
