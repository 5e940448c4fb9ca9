"""Which frames somebody gets: what they may see, all of it, in order, and in frames that fit."""

import json
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.audiences import Viewer
from realtime.deliveries import Deliveries, Delivery
from realtime.events import StreamEvent, Stretch
from realtime.fan_out_store import Mailbox
from realtime.frames import MAX_BYTES, Dialect
from tests.support.fan_out import messages, offsets

NOW = datetime(2026, 3, 10, 7, 8, 9, 654321, tzinfo=UTC)
EPOCH = UUID("01989f3c-7a5e-7b7e-8a34-52b1c0a9d001")
USERS = [UUID(int=number) for number in range(1, 4)]
PERMISSIONS = ["media:read_all", "users:read", "stock:approve"]
CHANNELS = ["media", "media:1", "users", "users:2", "shipments", "shipments:123"]
AUDIENCES = [
    "all",
    *(f"user:{user_id}" for user_id in USERS),
    *("role:admin", "role:agent"),
    *(f"channel:{name}" for name in CHANNELS),
]


def event(offset: int, *audiences: str, **values: str) -> StreamEvent:
    found = {"kind": "changed", "entity_type": "shipments", "entity_id": "1", "action": "updated"}
    found |= values
    return StreamEvent(**found, audiences=audiences or ("all",), at=NOW, offset=offset)  # type: ignore[arg-type]


def mailbox(
    dialect: Dialect = "signalr", viewer: Viewer | None = None, sent: int = 0, wanted: int = 10**6
) -> Mailbox:
    viewer = viewer or Viewer(USERS[0], ["agent"], frozenset())
    return Mailbox("A", dialect, viewer, sent, wanted)


def deliveries(*events: StreamEvent, trimmed: int = 0, until: int = 0) -> Deliveries:
    until = until or (events[-1].offset if events else 0)
    return Deliveries(Stretch(EPOCH, trimmed, until, events), NOW)


def contents(delivery: Delivery) -> list[bytes]:
    return [frame.content for frame in delivery.frames]


viewers = st.builds(
    Viewer,
    st.sampled_from(USERS),
    st.lists(st.sampled_from(["admin", "agent"]), unique=True),
    st.frozensets(st.sampled_from(PERMISSIONS)),
    st.lists(st.sampled_from(CHANNELS), unique=True),
)
streams = st.lists(
    st.tuples(
        st.sampled_from(["changed", "permissions"]),
        st.lists(st.sampled_from(AUDIENCES), min_size=1, max_size=3, unique=True),
    ),
    max_size=12,
)


def may_see(viewer: Viewer, audience: str) -> bool:
    """Say it again, in other words than the code."""
    kind, _, name = audience.partition(":")
    if kind == "channel":
        guard = {"media": "media:read_all", "users": "users:read"}.get(name.split(":")[0])
        return name in viewer.channels and (guard is None or guard in viewer.permissions)
    return kind == "all" or name == str(viewer.user_id) or name in viewer.roles


@given(
    events=streams,
    boxes=st.lists(
        st.tuples(
            viewers,
            st.sampled_from(["signalr", "json"]),
            st.integers(0, 12),
            st.integers(0, 12),
        ),
        min_size=1,
        max_size=8,
    ),
    trimmed=st.integers(0, 3),
)
def test_everybody_gets_what_they_may_see_in_order_and_nothing_else(
    events: list[tuple[str, list[str]]],
    boxes: list[tuple[Viewer, Dialect, int, int]],
    trimmed: int,
) -> None:
    stream = [
        event(offset, *audiences, kind=kind, entity_id=str(USERS[0]))
        for offset, (kind, audiences) in enumerate(events, start=1)
        if offset > trimmed
    ]
    made = deliveries(*stream, trimmed=trimmed, until=12)
    # All by the same, which remembers frames.
    for viewer, dialect, sent, more in boxes:
        wanted = min(sent + more, 12)
        delivery = made.of(mailbox(dialect, viewer, sent, wanted))

        assert delivery.until == max(wanted, sent)
        assert delivery.sent_by(len(delivery.frames)) == delivery.until
        if sent < trimmed:
            assert len(delivery.frames) == 1
            continue
        expected = [
            told.offset
            for told in stream
            if sent < told.offset <= wanted and any(may_see(viewer, x) for x in told.audiences)
        ]
        assert offsets(contents(delivery)) == expected
        for message in messages(contents(delivery)):
            told = message.get("arguments", [message.get("data")])[0]
            if "permissions" in told:
                assert told["permissions"] == sorted(viewer.permissions)


def test_a_signalr_client_is_told_by_invocations() -> None:
    viewer = Viewer(USERS[0], [], frozenset({"b:c", "a:b"}))
    delivery = deliveries(
        event(1), event(2, kind="permissions", entity_type="users", entity_id=str(USERS[0]))
    ).of(mailbox(viewer=viewer))

    (frame,) = contents(delivery)
    assert frame.endswith(b"\x1e")
    changed, updated = messages([frame])
    place = {"timestamp": "2026-03-10T07:08:09.654Z", "epoch": str(EPOCH)}
    assert changed == {
        "type": 1,
        "target": "DataChanged",
        "arguments": [
            {"entityType": "shipments", "entityId": "1", "action": "updated", "offset": 1} | place
        ],
    }
    assert updated["target"] == "PermissionsUpdated"
    assert updated["arguments"] == [
        {"userId": str(USERS[0]), "permissions": ["a:b", "b:c"], "offset": 2} | place
    ]


def test_a_plain_client_is_told_one_message_a_frame() -> None:
    first, second = contents(deliveries(event(1), event(2)).of(mailbox("json")))

    assert json.loads(first) == {
        "type": "update",
        "channel": "shipments:1",
        "event": "updated",
        "data": {"entityType": "shipments", "entityId": "1", "action": "updated"},
        "timestamp": "2026-03-10T07:08:09.654Z",
        "epoch": str(EPOCH),
        "offset": 1,
    }
    assert json.loads(second)["offset"] == 2


def test_records_are_joined_into_frames_that_fit() -> None:
    events = [event(offset, entity_id=str(uuid4())) for offset in range(1, 501)]

    delivery = deliveries(*events).of(mailbox())

    sizes = [len(frame.content) for frame in delivery.frames]
    assert max(sizes) <= MAX_BYTES
    # No frame could have taken the first record of the next.
    assert all(size > MAX_BYTES - 300 for size in sizes[:-1])
    assert offsets(contents(delivery)) == list(range(1, 501))
    assert [offsets([frame.content])[-1] for frame in delivery.frames] == [
        frame.until for frame in delivery.frames
    ]


def test_a_record_that_fits_nowhere_has_a_frame_of_its_own() -> None:
    events = [event(1), event(2, entity_id="x" * MAX_BYTES), event(3)]

    assert [offsets([frame]) for frame in contents(deliveries(*events).of(mailbox()))] == [
        [1],
        [2],
        [3],
    ]


def test_who_gets_the_same_gets_the_same_bytes() -> None:
    made = deliveries(event(1), event(2, f"user:{USERS[1]}"))
    others = [Viewer(user_id, ["agent"], frozenset({"a:b"})) for user_id in (USERS[0], USERS[2])]

    first, second = (made.of(mailbox(viewer=viewer)) for viewer in others)

    assert first.frames is second.frames


def test_how_far_one_is_after_some_frames() -> None:
    delivery = deliveries(event(3), event(4), until=9).of(mailbox("json", sent=2, wanted=8))

    assert [delivery.sent_by(frames) for frames in range(3)] == [2, 3, 8]


def test_who_may_see_nothing_is_moved_on_without_a_frame() -> None:
    delivery = deliveries(event(1, "role:admin"), until=4).of(mailbox(wanted=4))

    assert (delivery.frames, delivery.until, delivery.sent_by(0)) == ([], 4, 4)


def test_nobody_is_moved_back_by_what_was_read_for_others() -> None:
    delivery = deliveries(event(1), until=1).of(mailbox(sent=5, wanted=8))

    assert (delivery.frames, delivery.until) == ([], 5)


@pytest.mark.parametrize("sent", [0, 4])
def test_who_is_behind_what_is_forgotten_is_to_fetch_anew(sent: int) -> None:
    made = deliveries(event(6), event(7), trimmed=5, until=7)

    (signalr,), (plain,) = (
        contents(made.of(mailbox(dialect, sent=sent, wanted=7))) for dialect in ("signalr", "json")
    )

    (invocation,) = messages([signalr])
    assert invocation["target"] == "DataChanged"
    assert invocation["arguments"] == [
        {
            "entityType": "*",
            "entityId": "*",
            "action": "refetch",
            "timestamp": "2026-03-10T07:08:09.654Z",
            "epoch": str(EPOCH),
            "offset": 7,
        }
    ]
    assert json.loads(plain) == {
        "type": "refetch",
        "epoch": str(EPOCH),
        "offset": 7,
        "timestamp": "2026-03-10T07:08:09.654Z",
    }


def test_who_is_at_the_edge_of_what_is_forgotten_has_missed_nothing() -> None:
    delivery = deliveries(event(6), event(7), trimmed=5, until=7).of(mailbox(sent=5, wanted=7))

    assert offsets(contents(delivery)) == [6, 7]
