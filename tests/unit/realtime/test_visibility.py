"""The rules of what is told to whom, and how a burst becomes one event. Default: nothing."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldgate.db.tables.all import METADATA
from realtime.relaying import merged
from realtime.visibility import TOLD, Change, events_of

NOW = datetime(2026, 1, 10, 10, 0, tzinfo=UTC)
OWNER, OTHER = "01989f3c-7a5e-7b7e-8a34-52b1c0a9d001", "01989f3c-7a5e-7b7e-8a34-52b1c0a9d002"
ROW = {"owner_id": OWNER, "deleted_at": None, "filename": "leaf.jpg"}


def change(entity: str, action: str = "update", *changed: str, **values: Any) -> Change:
    found: dict[str, Any] = {"entity_id": "7", "before": {}, "after": {}, "at": NOW}
    return Change(entity, action=action, changed=frozenset(changed), **(found | values))


def of_media(action: str, **values: Any) -> Change:
    rows = {
        "insert": {"after": ROW},
        "update": {"before": ROW, "after": ROW},
        "delete": {"before": ROW},
    }
    return change("media", action, **(rows[action] | values))


@pytest.mark.parametrize("entity", [*sorted(METADATA.tables.keys() - TOLD), "x"])
@pytest.mark.parametrize("action", ["insert", "update", "delete"])
def test_what_no_rule_names_is_told_to_nobody(entity: str, action: str) -> None:
    row = ROW | {"user_id": OWNER, "audiences": ["all"]}
    assert events_of(change(entity, action, "status", before=row, after=row)) == []


def test_what_is_told_at_all_is_this() -> None:
    """Another table here is a decision about who may know of it."""
    assert sorted(TOLD) == [
        "configuration",
        "media",
        "notifications",
        "realtime_broadcasts",
        "stock_losses",
        "stock_lots",
        "users",
    ]


@pytest.mark.parametrize("action", ["insert", "update"])
def test_stock_is_told_to_who_may_see_it_and_a_loss_to_its_reporter(action: str) -> None:
    row = {"reported_by": OWNER}
    (lot,) = events_of(change("stock_lots", action, before=row, after=row))
    (loss,) = events_of(change("stock_losses", action, before=row, after=row))
    assert lot.audiences == ("permission:stock:read", "channel:stock_lots", "channel:stock_lots:7")
    assert loss.audiences[:2] == (f"user:{OWNER}", "permission:stock:read")


def test_a_notification_is_told_to_whom_it_tells_and_its_removal_to_nobody() -> None:
    row = {"user_ids": [OWNER], "roles": ["agent"], "permission": "stock:approve"}
    (event,) = events_of(change("notifications", "insert", after=row))
    assert (event.entity_type, event.action) == ("notifications", "created")
    assert event.audiences[:3] == (f"user:{OWNER}", "role:agent", "permission:stock:approve")
    assert events_of(change("notifications", "delete", before=row)) == []


@pytest.mark.parametrize(
    ("action", "told"), [("insert", "created"), ("update", "updated"), ("delete", "deleted")]
)
def test_a_media_is_told_to_its_owner_and_who_follows_it(action: str, told: str) -> None:
    (event,) = events_of(of_media(action))
    assert (event.kind, event.entity_type, event.entity_id) == ("changed", "media", "7")
    assert (event.action, event.at) == (told, NOW)
    assert event.audiences == (f"user:{OWNER}", "channel:media", "channel:media:7")


def test_a_hidden_media_is_gone_once() -> None:
    hidden = ROW | {"deleted_at": "2026-01-10T10:00:00Z"}
    (event,) = events_of(of_media("update", after=hidden))
    assert event.action == "deleted"
    assert events_of(of_media("update", before=hidden, after=hidden)) == []
    assert events_of(of_media("delete", before=hidden)) == []


def test_permissions_are_told_of_only_where_they_may_have_changed() -> None:
    for column, kinds in {
        "permission_version": ["changed", "permissions"],
        "status": ["changed", "permissions"],
        "name": ["changed"],
        "password_hash": ["changed"],
    }.items():
        events = events_of(change("users", "update", column))
        assert [event.kind for event in events] == kinds
        assert {event.entity_id for event in events} == {"7"}
        assert [event.audiences for event in events[1:]] == [("user:7",)] * (len(kinds) - 1)
    assert [event.kind for event in events_of(change("users", "insert"))] == ["changed"]


def test_a_broadcast_is_told_as_it_says_and_only_when_it_is_made() -> None:
    row = {
        "entity_type": "shipments",
        "entity_id": "9",
        "action": "left",
        "audiences": ["role:agent", "channel:stock"],
    }
    (event,) = events_of(change("realtime_broadcasts", "insert", after=row))
    assert (event.entity_type, event.entity_id, event.action) == ("shipments", "9", "left")
    assert event.audiences == ("role:agent", "channel:stock")
    for action in ("update", "delete"):
        assert events_of(change("realtime_broadcasts", action, before=row, after=row)) == []


# Bursts


@pytest.mark.parametrize(
    ("actions", "told"),
    [
        ("insert", "created"),
        ("insert update update", "created"),
        ("update update", "updated"),
        ("insert update delete", "deleted"),
        ("update delete", "deleted"),
        ("delete insert", "updated"),
        ("delete insert update", "updated"),
        ("insert delete insert delete", "deleted"),
    ],
)
def test_what_a_burst_comes_to(actions: str, told: str) -> None:
    burst = [of_media(action) for action in actions.split()]
    (event,) = merged(burst)
    assert event.action == told


def test_a_burst_is_told_at_the_time_of_its_last_to_all_who_were_to_hear_of_any() -> None:
    later = NOW + timedelta(seconds=1)
    moved = of_media("update", after=ROW | {"owner_id": OTHER}, at=later)
    (event,) = merged([of_media("insert"), moved])
    assert (event.action, event.at) == ("created", later)
    assert set(event.audiences) == {
        *(f"user:{OWNER}", f"user:{OTHER}"),
        *("channel:media", "channel:media:7"),
    }


def test_kinds_are_not_merged_nor_broadcasts_with_the_thing_they_speak_of() -> None:
    row = {"entity_type": "media", "entity_id": "7", "action": "updated", "audiences": ["all"]}
    told = merged(
        [
            of_media("update"),
            change("realtime_broadcasts", "insert", entity_id="b1", after=row),
            change("realtime_broadcasts", "insert", entity_id="b2", after=row),
            change("users", "update", "permission_version"),
        ]
    )
    assert [event.kind for event in told] == ["changed"] * 4 + ["permissions"]
    assert [event.audiences for event in told[:3]] == [
        (f"user:{OWNER}", "channel:media", "channel:media:7"),
        ("all",),
        ("all",),
    ]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["insert", "update", "delete"]))))
def test_each_thing_is_told_of_once_in_the_order_of_its_last_change(
    burst: list[tuple[str, str]],
) -> None:
    told = merged(replace(of_media(action), entity_id=thing) for thing, action in burst)
    last = list(dict.fromkeys(thing for thing, _ in reversed(burst)))[::-1]
    assert [event.entity_id for event in told] == last
    for event in told:
        final = [action for thing, action in burst if thing == event.entity_id][-1]
        assert (event.action == "deleted") == (final == "delete")
