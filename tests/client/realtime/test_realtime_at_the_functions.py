"""The client and the server's functions mean the same: what either writes the other reads."""

from datetime import UTC, datetime
from uuid import UUID

from fieldgate_client import realtime_frames as frames
from fieldgate_client.realtime_frames import (
    Closing,
    Following,
    PermissionsUpdate,
    Pong,
    Position,
    Refusal,
    Resumed,
    Update,
)
from realtime import plain, views
from realtime.events import Position as ServerPosition
from realtime.events import Replay, StreamEvent
from tests.client.realtime.hub import EPOCH

AT = datetime(2026, 1, 10, 10, tzinfo=UTC)
CHANGE = StreamEvent("changed", "media", "7", "updated", ("channel:media",), AT, 41)
PERMISSIONS = StreamEvent("permissions", "users", "u-1", "updated", ("user:u-1",), AT, 42)
UPDATE = Update("media:7", "updated", "media", "7", "updated", AT, Position(EPOCH, 41))
ALLOWED = PermissionsUpdate("u-1", ("a:read", "b:read"), AT, Position(EPOCH, 42))


def test_what_was_missed() -> None:
    replay = Replay(ServerPosition(UUID(EPOCH), 42), True, False, (CHANGE, PERMISSIONS))
    answer = plain.answer("resumed", "3", **views.replay_view(replay, ["b:read", "a:read"]))

    read = frames.read(answer)
    assert read.id == "3"
    assert read.content == Resumed(Position(EPOCH, 42), True, False, (UPDATE, ALLOWED))


def test_other_answers() -> None:
    for answer, content in (
        (plain.answer("pong"), Pong()),
        (plain.answer("subscribed", "1", channels=["media:7"]), Following(("media:7",))),
        (plain.answer("unsubscribed", "1", channels=[]), Following(())),
        (plain.error("FORBIDDEN", "No."), Refusal("FORBIDDEN", "No.")),
        (plain.close("token_expired", reconnect=True), Closing("token_expired", reconnect=True)),
    ):
        assert frames.read(answer).content == content


def test_questions() -> None:
    position = frames.place(Position(EPOCH, 41))
    for frame, action, content in (
        (frames.ping(), "ping", {}),
        (frames.request("1", "resume", **position), "resume", position),
        (frames.request("1", "resume", **frames.place(None)), "resume", {"offset": 0}),
        (
            frames.request("1", "subscribe", **frames.channels({"b", "a:1"})),
            "subscribe",
            {"channels": ["a:1", "b"]},
        ),
    ):
        read = plain.read(frame)
        assert (read.action, read.id) == (action, None if action == "ping" else "1")
        assert content.items() <= read.content.items()
