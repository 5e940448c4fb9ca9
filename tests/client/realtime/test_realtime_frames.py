"""Frames are read as what they are, and what is none is passed over: never a traceback."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldgate_client.addresses import realtime_url
from fieldgate_client.errors import NotUnderstood
from fieldgate_client.realtime_frames import (
    Closing,
    Following,
    PermissionsUpdate,
    Pong,
    Position,
    Refetch,
    Refusal,
    Resumed,
    Update,
    read,
)
from tests.client.realtime.conftest import REFETCH, App, Tell
from tests.client.realtime.hub import EPOCH, TIME

UPDATE: dict[str, Any] = {
    "type": "update",
    "channel": "media:7",
    "event": "updated",
    "data": {"entityType": "media", "entityId": "7", "action": "updated"},
    "timestamp": TIME,
    "epoch": EPOCH,
    "offset": 42,
}
PERMISSIONS = UPDATE | {
    "event": "permissions_updated",
    "data": {"userId": "u", "permissions": ["a"]},
}
RESUMED: dict[str, Any] = {
    "type": "resumed",
    "epoch": EPOCH,
    "offset": 43,
    "recovered": True,
    "more": False,
    "events": [UPDATE, PERMISSIONS | {"offset": 43}],
    "id": "3",
}
FRAMES: list[dict[str, Any]] = [
    UPDATE,
    PERMISSIONS,
    RESUMED,
    {"type": "refetch", "epoch": EPOCH, "offset": 1, "timestamp": TIME},
    {"type": "subscribed", "channels": ["media:7"], "id": "1"},
    {"type": "unsubscribed", "channels": []},
    {"type": "error", "code": "FORBIDDEN", "message": "No."},
    {"type": "close", "reason": "session_ended", "reconnect": True},
    {"type": "pong"},
]
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=5,
)


def read_json(frame: object) -> object:
    return read(json.dumps(frame)).content


def test_each_frame_is_read_as_what_it_is() -> None:
    at = Position(EPOCH, 42)
    update = read_json(UPDATE)
    assert isinstance(update, Update)
    assert (update.channel, update.position) == ("media:7", at)
    told = read_json(PERMISSIONS)
    assert isinstance(told, PermissionsUpdate)
    assert (told.user_id, told.permissions, told.position) == ("u", ("a",), at)
    resumed = read(json.dumps(RESUMED))
    assert resumed.id == "3"
    assert isinstance(resumed.content, Resumed)
    assert [each.position.offset for each in resumed.content.events] == [42, 43]
    assert (resumed.content.recovered, resumed.content.more) == (True, False)
    assert [read_json(frame) for frame in FRAMES[3:]] == [
        Refetch(Position(EPOCH, 1)),
        Following(("media:7",)),
        Following(()),
        Refusal("FORBIDDEN", "No."),
        Closing("session_ended", reconnect=True),
        Pong(),
    ]


def test_what_is_new_to_this_client_is_no_error() -> None:
    assert read_json(UPDATE | {"later": {"versions": ["may", "say"]}}) == read_json(UPDATE)


def test_of_what_was_missed_one_that_cannot_be_read_holds_up_no_other() -> None:
    events = [None, UPDATE | {"offset": "43"}, UPDATE, {"type": "of a later version"}]
    resumed = read_json(RESUMED | {"events": events})

    assert isinstance(resumed, Resumed)
    assert [each.position.offset for each in resumed.events] == [42]


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "not JSON",
        "[]",
        "null",
        '"text"',
        "{}",
        '{"type": 6}\x1e',
        '{"type": "pong"',
        '{"type": NaN}',
        '{"type": ["update"]}',
        '{"type": "unheard of"}',
        '{"type": "pong", "id": 7}',
        '{"type": "\\ud800"}',
        "[" * 100_000,
        '{"type": "update", "offset": ' + "9" * 5000 + "}",
        b'{"type": "pong"}',
    ],
)
def test_what_is_no_frame(frame: str | bytes) -> None:
    with pytest.raises(NotUnderstood):
        read(frame)


@given(st.sampled_from(FRAMES), st.data())
@settings(max_examples=200, deadline=None)
def test_no_field_is_a_traceback(frame: dict[str, Any], data: st.DataObject) -> None:
    field = data.draw(st.sampled_from(sorted(frame)))
    inner, changed = frame[field], data.draw(ANYTHING)
    if isinstance(inner, dict) and data.draw(st.booleans()):
        changed = inner | {data.draw(st.sampled_from(sorted(inner))): changed}
    with suppress(NotUnderstood):
        read_json(frame | {field: changed})


@given(st.text() | st.binary() | ANYTHING.map(json.dumps))
@settings(deadline=None)
def test_no_frame_is_a_traceback(frame: str | bytes) -> None:
    with pytest.raises(NotUnderstood):
        read(frame)


@pytest.mark.parametrize(
    ("server", "url"),
    [
        ("https://api.example.org", "wss://api.example.org/hubs/permissions"),
        ("http://127.0.0.1:8080", "ws://127.0.0.1:8080/hubs/permissions"),
        ("https://[::1]:1/stage/", "wss://[::1]:1/stage/hubs/permissions"),
    ],
)
def test_where_changes_are_told(server: str, url: str) -> None:
    assert realtime_url(server) == url


def test_what_is_no_frame_does_not_end_the_connection(tell: Tell) -> None:
    strange: list[str | bytes | dict[str, Any]] = [
        "not JSON",
        b"\xff\xfe",
        "[" * 50_000,
        UPDATE | {"offset": 2**63},
        UPDATE | {"offset": -1},
        UPDATE | {"epoch": "../.."},
        UPDATE | {"data": None},
        RESUMED | {"id": "unasked"},
        RESUMED | {"id": None},
        {"type": "error", "code": "A", "message": "to nobody"},
        {"type": "subscribed", "channels": ["a"]},
        {"type": "connectionId", "connectionId": "x"},
    ]

    async def story(app: App) -> None:
        async with app.live():
            for frame in strange:
                await app.hub.line.say(frame)
            await app.hub.happens()
            await app.has_heard(REFETCH, 1)
        assert len(app.hub.lines) == 1

    tell(story)


@pytest.mark.parametrize("frame", [b"\xff", b"x" * (1024 * 1024 + 1)])
def test_what_is_no_text_or_too_much_of_it_costs_the_connection_and_nothing_more(
    tell: Tell, frame: bytes
) -> None:
    async def story(app: App) -> None:
        async with app.live():
            await app.hub.line.socket.send(frame, text=True)
            await app.hub.happens()
            await app.hands.sleep_out(1)
            await app.has_heard(REFETCH, 1)
        assert len(app.hub.lines) == 2

    tell(story)


def test_a_frame_of_a_megabyte_is_read(tell: Tell) -> None:
    async def story(app: App) -> None:
        async with app.live():
            long = app.hub.happened()
            text = json.dumps(long)
            await app.hub.line.say(text + " " * (1024 * 1024 - len(text)))
            await app.has_heard(REFETCH, 1)

    tell(story)
