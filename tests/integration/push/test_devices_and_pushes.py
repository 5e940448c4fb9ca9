"""What people say about their phones and wishes, and what they are then pushed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from push import preference_store
from tests.support.handsets import Handset, tell
from tests.support.pushes import Board


def clock(hours: int) -> str:
    return f"{datetime.now(UTC) + timedelta(hours=hours):%H:%M}"


QUIET_NOW = {"from": clock(-2), "to": clock(2), "timeZone": "UTC"}
QUIET_LATER = {"from": clock(2), "to": clock(-2), "timeZone": "UTC"}


def test_who_registers_is_pushed_to_at_their_token(board: Board, grower: Handset) -> None:
    grower.add("growers-token", kind="fid")
    tell(board.database, grower)

    board.deliver()

    (message,) = board.pusher.messages
    assert (message.address, message.address_kind) == ("growers-token", "fid")


def test_a_phone_is_pushed_what_is_for_who_took_it_over(
    board: Board, grower: Handset, stranger: Handset
) -> None:
    grower.add("the-phone")
    told = tell(board.database, grower)
    stranger.add("the-phone")
    tell(board.database, stranger)

    board.deliver()

    assert board.pusher.addresses == ["the-phone"]
    assert board.recipient(told, grower.user_id)["reason"] == "no_device"


def test_a_deleted_device_is_pushed_nothing(board: Board, grower: Handset) -> None:
    grower.delete(grower.add())
    tell(board.database, grower)

    board.deliver()

    assert board.pusher.messages == []


@pytest.mark.parametrize(
    ("wanted", "state", "reason"),
    [
        ({"muted": ["general"]}, "suppressed", "muted"),
        ({"muted": ["stock_expiry"]}, "sent", None),
        ({"quietHours": QUIET_NOW}, "queued", "quiet_hours"),
        ({"quietHours": QUIET_LATER}, "sent", None),
        ({}, "sent", None),
    ],
)
def test_what_somebody_wants_to_hear_is_what_they_are_pushed(
    board: Board, grower: Handset, wanted: dict[str, Any], state: str, reason: str | None
) -> None:
    grower.add()
    grower.prefer({"muted": ["general"]})
    assert grower.prefer(wanted).status == 200
    told = tell(board.database, grower)

    board.deliver()

    recipient = board.recipient(told, grower.user_id)
    assert (recipient["state"], recipient["reason"]) == (state, reason)
    assert [entry["id"] for entry in grower.inbox().data] == [str(told)]


def test_what_was_read_before_it_could_be_pushed_is_not(board: Board, grower: Handset) -> None:
    grower.add()
    grower.read(tell(board.database, grower))

    board.deliver()

    assert board.pusher.messages == []


def test_everybody_wants_to_hear_all_until_they_say_otherwise(grower: Handset) -> None:
    stored = grower.database.read(
        lambda connection: preference_store.find(connection, grower.user_id)
    )
    assert stored == preference_store.Stored()
