"""Events as they are told: the field names are the contract's."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

from realtime import views
from realtime.events import Kind, Position, Replay, StreamEvent

EPOCH = UUID("7c0e1a52-4b1d-4f0e-9a6b-2d3c4e5f6a7b")
AT = datetime(2026, 1, 10, 13, 0, 0, 123_456, tzinfo=timezone(timedelta(hours=3)))
WRITTEN = "2026-01-10T10:00:00.123Z"


def event(kind: Kind = "changed", entity_type: str = "shipments") -> StreamEvent:
    return StreamEvent(kind, entity_type, "123", "status_changed", ("role:agent",), AT, 42)


def test_a_change_as_signalr_clients_get_it() -> None:
    assert views.invocation_of(event(), EPOCH, ["b", "a"]) == (
        "DataChanged",
        {
            "entityType": "shipments",
            "entityId": "123",
            "action": "status_changed",
            "timestamp": WRITTEN,
            "epoch": str(EPOCH),
            "offset": 42,
        },
    )


def test_permissions_as_signalr_clients_get_them() -> None:
    target, argument = views.invocation_of(event("permissions", "users"), EPOCH, ["b", "a"])
    assert target == "PermissionsUpdated"
    assert argument == {
        "userId": "123",
        "permissions": ["a", "b"],
        "timestamp": WRITTEN,
        "epoch": str(EPOCH),
        "offset": 42,
    }


def test_a_change_as_plain_clients_get_it() -> None:
    assert views.message_of(event(), EPOCH, ["a"]) == {
        "type": "update",
        "channel": "shipments:123",
        "event": "status_changed",
        "data": {"entityType": "shipments", "entityId": "123", "action": "status_changed"},
        "timestamp": WRITTEN,
        "epoch": str(EPOCH),
        "offset": 42,
    }


def test_permissions_as_plain_clients_get_them() -> None:
    message = views.message_of(event("permissions", "users"), EPOCH, ["b", "a"])
    assert (message["channel"], message["event"]) == ("users:123", "permissions_updated")
    assert message["data"] == {"userId": "123", "permissions": ["a", "b"]}


def test_the_refetch_stands_for_everything_up_to_its_place() -> None:
    assert views.refetch(Position(EPOCH, 42), datetime(2026, 1, 10, 10, tzinfo=UTC)) == (
        "DataChanged",
        {
            "entityType": "*",
            "entityId": "*",
            "action": "refetch",
            "timestamp": "2026-01-10T10:00:00.000Z",
            "epoch": str(EPOCH),
            "offset": 42,
        },
    )


def test_nobody_is_told_who_else_was() -> None:
    replay = Replay(Position(EPOCH, 42), recovered=True, more=False, events=(event(),))
    assert "role:agent" not in str(views.replay_view(replay, ["a"]))
    assert "role:agent" not in str(views.invocation_of(event(), EPOCH, ["a"]))
