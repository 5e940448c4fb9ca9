"""POST /api/v1/realtime/broadcast: who may, what is refused, and whom it reaches."""

import uuid
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from fieldgate.db.engine import Database
from fieldgate.db.tables.all import realtime_broadcasts
from realtime import broadcast
from realtime.relaying import relay
from tests.support.gateway import Answer, call, signed_in
from tests.support.sqs import LocalSqs
from tests.support.stream import Stream

PATH = "/api/v1/realtime/broadcast"
SOMEBODY = "01989f3c-7a5e-7b7e-8a34-52b1c0a9d009"


@pytest.fixture
def stream(live_database: Database) -> Stream:
    return Stream(live_database)


@pytest.fixture
def admin(stream: Stream) -> UUID:
    return stream.add_user("admin")


def send(user_id: UUID, *, key: str | None = None, **content: Any) -> Answer:
    """Announce that a shipment left; a value of `...` leaves the field out."""
    wanted = {"entityType": "shipments", "entityId": "123", "action": "left"} | content
    return call(
        broadcast.handler,
        "POST",
        PATH,
        content={name: value for name, value in wanted.items() if value is not ...},
        headers={"Idempotency-Key": key} if key else {},
        authorizer=signed_in(user_id, permissions=["realtime:broadcast"]),
    )


def rows(stream: Stream) -> list[Mapping[str, Any]]:
    statement = select(realtime_broadcasts)
    return stream.database.read(
        lambda connection: [dict(row) for row in connection.execute(statement).mappings()]
    )


def test_a_broadcast_is_for_everybody_unless_told(stream: Stream, admin: UUID) -> None:
    stream.connect("A", stream.add_user())
    answer = send(admin)
    assert answer.status == 202
    (row,) = rows(stream)
    assert answer.data == {"broadcastId": str(row["id"])}
    assert relay(stream.database, stream.ask_for) == 1
    (event,) = stream.events()
    assert event["audiences"] == ["all"]
    assert stream.told() == [("changed", "shipments", "123", "left")]
    assert stream.owed() == {"A": 1}


def test_an_audience_is_whoever_is_any_of_it(stream: Stream, admin: UUID) -> None:
    audience = {
        "userIds": [SOMEBODY, SOMEBODY.upper()],
        "roles": ["agent"],
        "channels": ["shipments:123", "stock"],
    }
    assert send(admin, audience=audience).status == 202
    (row,) = rows(stream)
    assert row["audiences"] == [
        f"user:{SOMEBODY}",
        "role:agent",
        "channel:shipments:123",
        "channel:stock",
    ]


def test_each_is_told_also_of_the_same_thing(stream: Stream, admin: UUID) -> None:
    for action in ("left", "arrived"):
        send(admin, action=action)
    relay(stream.database, stream.ask_for)
    assert [action for *_, action in stream.told()] == ["left", "arrived"]


@pytest.mark.parametrize(
    "content",
    [
        {"entityType": "media", "entityId": "*", "action": "updated"},
        {"entityType": "users", "audience": {"channels": ["users"]}},
        {"entityType": "a" * 50, "entityId": "A_b.c-1" * 14, "action": "a_" * 25},
        {"action": "left-2nd-time_9"},
        {"audience": None},
        {"audience": {"userIds": [str(uuid.UUID(int=n)) for n in range(100)]}},
    ],
)
def test_what_may_be_announced(stream: Stream, admin: UUID, content: dict[str, Any]) -> None:
    assert send(admin, **content).status == 202


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({"entityType": ...}, "entityType"),
        ({"entityType": "Shipments"}, "entityType"),
        ({"entityType": "shipments\n"}, "entityType"),
        ({"entityType": "*"}, "entityType"),
        ({"entityType": "a" * 51}, "entityType"),
        ({"entityId": ""}, "entityId"),
        ({"entityId": "a:b"}, "entityId"),
        ({"entityId": "**"}, "entityId"),
        ({"entityId": 123}, "entityId"),
        ({"entityId": "a" * 101}, "entityId"),
        ({"action": "Left"}, "action"),
        ({"action": "left now"}, "action"),
        ({"action": "2nd"}, "action"),
        ({"action": "a" * 51}, "action"),
        ({"data": {"secret": 1}}, "data"),
        ({"audience": {}}, "audience"),
        ({"audience": {"roles": [], "userIds": []}}, "audience"),
        ({"audience": "all"}, "audience"),
        ({"audience": {"groups": ["x"]}}, "audience.groups"),
        ({"audience": {"userIds": ["me"]}}, "audience.userIds.0"),
        (
            {"audience": {"userIds": [str(uuid.UUID(int=n)) for n in range(101)]}},
            "audience.userIds",
        ),
        ({"audience": {"channels": ["no such name"]}}, "audience.channels.0"),
        ({"audience": {"channels": ["stock"] * 101}}, "audience.channels"),
        ({"audience": {"roles": ["agent", "pirate"]}}, "audience.roles.1"),
        ({"audience": {"roles": ["agent"] * 21}}, "audience.roles"),
    ],
)
def test_what_is_refused_of_it(
    stream: Stream, admin: UUID, content: dict[str, Any], field: str
) -> None:
    answer = send(admin, **content)
    assert (answer.status, answer.error["code"]) == (400, "VALIDATION_ERROR")
    assert [detail["field"] for detail in answer.error["details"]] == [field]
    assert rows(stream) == []


CHANNEL_RULE = (
    "A channel is named like shipments or shipments:123: the topic in lower case, up to 50"
    " characters, then up to 100 of A-Z a-z 0-9 _ . and -."
)
NAME_RULE = "must be a lower-case letter and then up to 49 of a-z 0-9 _ and -"
ID_RULE = "must be up to 100 of A-Z a-z 0-9 _ . and -, or * for all of the type"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"entityType": "Shipments"}, NAME_RULE),
        ({"entityType": 1}, NAME_RULE),
        ({"action": "Left"}, NAME_RULE),
        ({"entityId": "a:b"}, ID_RULE),
        ({"entityId": 123}, ID_RULE),
        ({"audience": {}}, "names nobody; leave it out for everybody"),
        ({"audience": {"userIds": ["me"]}}, "is not a user's id, which is a UUID"),
        ({"audience": {"userIds": [None]}}, "is not a user's id, which is a UUID"),
        ({"audience": {"userIds": SOMEBODY}}, "must be a list"),
        ({"audience": {"userIds": [SOMEBODY] * 101}}, "may have 100 entries at most"),
        ({"audience": {"roles": ["agent"] * 21}}, "may have 20 entries at most"),
        ({"audience": {"roles": ["a" * 101]}}, "is not a role"),
        ({"audience": {"roles": [7]}}, "is not a role"),
        ({"audience": {"roles": ["pirate"]}}, "is not a role"),
        ({"audience": {"channels": ["stock"] * 101}}, "may have 100 entries at most"),
        (
            {"audience": {"channels": [7]}},
            CHANNEL_RULE,
        ),
    ],
)
def test_refusals_are_sentences_of_ours(
    stream: Stream, admin: UUID, content: dict[str, Any], sentence: str
) -> None:
    (detail,) = send(admin, **content).error["details"]
    assert detail["message"] == sentence


def test_it_takes_the_permission(stream: Stream, admin: UUID) -> None:
    content = {"entityType": "shipments", "entityId": "1", "action": "left"}
    others = signed_in(admin, permissions=["media:read_all", "users:write"])
    answer = call(broadcast.handler, "POST", PATH, content=content, authorizer=others)
    assert (answer.status, answer.error["code"]) == (403, "FORBIDDEN")
    assert call(broadcast.handler, "POST", PATH, content=content).status == 401
    assert rows(stream) == []


def test_whose_account_is_gone_announces_nothing(stream: Stream) -> None:
    assert send(uuid.uuid4()).status == 401


def test_sent_twice_it_is_announced_once(stream: Stream, admin: UUID) -> None:
    first, second = send(admin, key="k-1"), send(admin, key="k-1")
    assert second.data == first.data
    assert second.headers["idempotency-replayed"] == "true"
    assert len(rows(stream)) == 1
    other = send(admin, key="k-1", action="arrived")
    assert (other.status, other.error["code"]) == (409, "IDEMPOTENCY_KEY_REUSED")


def test_it_is_on_record_who_announced_what(stream: Stream, admin: UUID) -> None:
    send(admin)
    (entry,) = stream.history("realtime_broadcasts")
    assert (entry["actor"], entry["action"]) == (str(admin), "insert")
    assert entry["after"]["entity_id"] == "123"


def test_it_wakes_the_relay_once(
    environment: pytest.MonkeyPatch, sqs: LocalSqs, live_database: Database
) -> None:
    environment.setenv("RELAY_QUEUE_URL", sqs.url)
    stream = Stream(live_database)
    admin = stream.add_user("admin")
    before = sqs.held()
    send(admin)
    assert sqs.held() == before + 1
    assert {record["body"] for record in sqs.receive()["Records"]} == {"changes"}
