"""What is replayed to somebody who was away: in pages, of this epoch, and what is theirs."""

import uuid

import pytest

from fieldgate.db.engine import Database
from fieldgate.db.tables.all import realtime_stream
from realtime.audiences import Viewer
from realtime.events import MAX_OFFSET, PAGE, Replay
from realtime.stream_store import events_after
from tests.support.database import count_statements
from tests.support.stream import Stream, new_event

SOMEBODY = Viewer(uuid.uuid4(), ["agent"], frozenset())


@pytest.fixture
def stream(database: Database) -> Stream:
    return Stream(database)


def epoch_of(stream: Stream) -> uuid.UUID:
    found: uuid.UUID = stream.stream_row()["epoch"]
    return found


def ask(stream: Stream, offset: int = 0, limit: int = PAGE, viewer: Viewer = SOMEBODY) -> Replay:
    return replay(stream, epoch_of(stream), offset, limit, viewer)


def replay(
    stream: Stream,
    epoch: uuid.UUID | None,
    offset: int = 0,
    limit: int = PAGE,
    viewer: Viewer = SOMEBODY,
) -> Replay:
    return stream.database.read(
        lambda connection: events_after(connection, viewer, epoch, offset, limit)
    )


def offsets(found: Replay) -> list[int]:
    return [event.offset for event in found.events]


def test_what_came_after_a_position_is_replayed_in_order(stream: Stream) -> None:
    stream.append(*(new_event(entity_id=str(number)) for number in range(1, 6)))
    found = ask(stream, 2)
    assert [(event.offset, event.entity_id) for event in found.events] == [
        (3, "3"),
        (4, "4"),
        (5, "5"),
    ]
    assert (found.recovered, found.more, found.position.offset) == (True, False, 5)


def test_whoever_is_up_to_date_gets_nothing_and_stays(stream: Stream) -> None:
    stream.append(new_event())
    found = ask(stream, 1)
    assert (found.recovered, found.more, found.events) == (True, False, ())
    assert (found.position.epoch, found.position.offset) == (epoch_of(stream), 1)


def test_whoever_has_no_position_is_given_the_one_of_now(stream: Stream) -> None:
    stream.append(new_event(), new_event())
    found = replay(stream, None)
    assert (found.recovered, found.more, found.events) == (False, False, ())
    assert (found.position.epoch, found.position.offset) == (epoch_of(stream), 2)


def test_pages_go_on_where_the_last_one_ended(stream: Stream) -> None:
    """Events of others in between are passed over, also behind the last of a page."""
    for number in range(10):
        stream.append(new_event("all", entity_id=str(number)), new_event("user:another"))
    seen, place, pages = [], 0, []
    while True:
        found = ask(stream, place, limit=4)
        seen += offsets(found)
        pages.append((len(found.events), found.more))
        place = found.position.offset
        if not found.more:
            break
    assert seen == list(range(1, 20, 2))
    assert pages == [(4, True), (4, True), (2, False)]
    assert place == stream.head == 20


def test_another_epoch_is_not_recovered(stream: Stream) -> None:
    stream.append(new_event())
    before = epoch_of(stream)
    stream.change(realtime_stream, epoch=uuid.uuid4())
    found = replay(stream, before)
    assert (found.recovered, found.events) == (False, ())
    assert found.position.epoch == epoch_of(stream) != before


@pytest.mark.parametrize(
    ("offset", "recovered"),
    [(0, False), (2, False), (3, True), (5, True), (6, False), (MAX_OFFSET, False)],
)
def test_what_is_forgotten_or_never_was_is_not_recovered(
    stream: Stream, offset: int, recovered: bool
) -> None:
    stream.append(*(new_event() for _ in range(5)))
    stream.change(realtime_stream, trimmed=3)
    found = ask(stream, offset)
    assert found.recovered is recovered
    assert offsets(found) == (list(range(offset + 1, 6)) if recovered else [])
    assert found.position.offset == 5


def test_one_s_events_are_never_in_another_s_replay(stream: Stream) -> None:
    mine, other = uuid.uuid4(), uuid.uuid4()
    stream.append(
        new_event(f"user:{other}"),
        new_event("role:farmer"),
        new_event("channel:shipments:9"),
        new_event("channel:shipments"),
        new_event(f"user:{mine}"),
        new_event("role:agent"),
        new_event("channel:shipments:1"),
        new_event("all"),
        new_event(f"user:{other}", f"user:{mine}"),
    )
    viewer = Viewer(mine, ["agent"], frozenset(), ["shipments:1"])
    assert offsets(ask(stream, viewer=viewer)) == [5, 6, 7, 8, 9]


def test_a_guarded_channel_is_silent_once_the_permission_is_gone(stream: Stream) -> None:
    stream.append(new_event("channel:media", "channel:media:7"), new_event("channel:users"))
    channels = ["media", "media:7", "users"]
    everything = frozenset({"media:read_all", "users:read"})
    for permissions, seen in (
        (everything, [1, 2]),
        (frozenset({"users:read"}), [2]),
        (frozenset(), []),
    ):
        viewer = Viewer(uuid.uuid4(), [], permissions, channels)
        assert offsets(ask(stream, viewer=viewer)) == seen


def test_a_page_is_one_round_trip(stream: Stream) -> None:
    stream.append(*(new_event() for _ in range(5)))
    epoch = epoch_of(stream)
    with count_statements(stream.database) as traffic:
        replay(stream, epoch)
    assert traffic.round_trips == 1
