"""What of all that is committed is announced, as what, and who is owed it."""

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, func, insert, text, update

from fieldgate.db.engine import Database, DatabaseSettings
from fieldgate.db.tables.all import media, roles, sessions, user_roles, users
from fieldgate.db.url import parse_url
from fieldgate.errors import Unavailable
from realtime import relaying, stream_store
from realtime.events import NewEvent
from realtime.relaying import relay
from tests.support.database import count_statements
from tests.support.stream import Stream, new_event, new_media


@pytest.fixture
def stream(database: Database) -> Stream:
    return Stream(database)


def run(stream: Stream) -> int:
    return relay(stream.database, stream.ask_for)


def test_a_change_becomes_an_event_for_its_owner_and_who_follows_it(stream: Stream) -> None:
    owner = stream.add_user()
    media_id = stream.add_media(owner)
    assert run(stream) == 1
    (event,) = stream.events()
    (entry,) = stream.history("media")
    assert event["event_offset"] == 1
    assert event["audiences"] == [f"user:{owner}", "channel:media", f"channel:media:{media_id}"]
    assert event["at"] == entry["at"]
    assert stream.told() == [("changed", "media", str(media_id), "created")]


def test_what_was_announced_is_not_announced_again(stream: Stream) -> None:
    stream.add_media(stream.add_user())
    assert run(stream) == 1
    assert run(stream) == 0
    assert (len(stream.events()), stream.undispatched()) == (1, 0)


def test_what_was_rolled_back_is_never_announced(stream: Stream) -> None:
    owner = stream.add_user()

    def fail(connection: Connection) -> None:
        connection.execute(insert(media).values(new_media(owner)))
        raise LookupError

    with pytest.raises(LookupError):
        stream.database.transact(fail)
    assert run(stream) == 0
    assert stream.head == 0


def test_what_no_rule_names_is_told_to_nobody_and_not_looked_at_again(stream: Stream) -> None:
    user_id = stream.add_user()
    stream.begin_session(user_id)
    write = insert(roles).values(name="auditor", description="...")
    stream.database.transact(lambda connection: connection.execute(write))
    assert stream.undispatched() == 1
    assert run(stream) == 0
    assert (stream.events(), stream.undispatched()) == ([], 0)


def test_an_event_holds_nothing_of_the_row(stream: Stream) -> None:
    stream.add_media(stream.add_user())
    run(stream)
    written = stream.database.read(
        lambda connection: str(
            connection.execute(text("SELECT to_jsonb(e) FROM realtime_events e")).all()
        )
    )
    assert "leaf.jpg" not in written
    assert "image/jpeg" not in written


# Bursts


def test_a_burst_of_changes_of_a_thing_is_one_event(stream: Stream) -> None:
    owner = stream.add_user()
    first, second = stream.add_media(owner), stream.add_media(owner)
    for size in (6, 7, 8):
        stream.change_media(first, size=size)
    run(stream)
    stream.change_media(second, size=6)
    stream.change_media(second, size=7)
    run(stream)
    assert [(event["entity_id"], event["action"]) for event in stream.events()] == [
        (str(second), "created"),
        (str(first), "created"),
        (str(second), "updated"),
    ]


def test_a_thing_that_came_and_went_is_gone(stream: Stream) -> None:
    media_id = stream.add_media(stream.add_user())
    stream.change_media(media_id, size=6)
    stream.remove_media(media_id)
    run(stream)
    assert stream.told() == [("changed", "media", str(media_id), "deleted")]


def test_a_thing_that_went_and_is_there_again_has_changed(stream: Stream) -> None:
    row = new_media(stream.add_user())
    stream.database.transact(lambda connection: connection.execute(insert(media).values(row)))
    run(stream)
    stream.remove_media(row["id"])
    stream.database.transact(lambda connection: connection.execute(insert(media).values(row)))
    run(stream)
    assert [action for *_, action in stream.told()] == ["created", "updated"]


def test_a_hidden_media_is_gone_and_its_removal_no_news(stream: Stream) -> None:
    media_id = stream.add_media(stream.add_user())
    run(stream)
    stream.change_media(media_id, deleted_at=func.now())
    run(stream)
    stream.change_media(media_id, size=6)
    stream.remove_media(media_id)
    run(stream)
    assert [action for *_, action in stream.told()] == ["created", "deleted"]
    assert stream.undispatched() == 0


def test_of_a_new_owner_both_hear(stream: Stream) -> None:
    before, after = stream.add_user(), stream.add_user()
    media_id = stream.add_media(before)
    run(stream)
    stream.change_media(media_id, owner_id=after)
    run(stream)
    told = stream.events()[-1]["audiences"]
    assert {f"user:{before}", f"user:{after}"} <= set(told)


# Permissions


def test_permissions_are_told_of_where_they_changed(stream: Stream) -> None:
    user_id = stream.add_user("agent")
    grant = insert(user_roles).values(user_id=user_id, role="farmer")
    stream.database.transact(lambda connection: connection.execute(grant))
    run(stream)
    assert [(event["kind"], event["audiences"]) for event in stream.events()] == [
        ("changed", [f"user:{user_id}", "channel:users", f"channel:users:{user_id}"]),
        ("permissions", [f"user:{user_id}"]),
    ]


@pytest.mark.parametrize(
    ("values", "kinds"),
    [({"status": "blocked"}, ["changed", "permissions"]), ({"name": "Other"}, ["changed"])],
)
def test_another_change_of_a_user_is_none_of_permissions(
    stream: Stream, values: dict[str, Any], kinds: list[str]
) -> None:
    user_id = stream.add_user()
    change = update(users).where(users.c.id == user_id).values(values)
    stream.database.transact(lambda connection: connection.execute(change))
    run(stream)
    assert [event["kind"] for event in stream.events()] == kinds


def test_a_role_that_may_more_is_told_to_all_who_have_it(stream: Stream) -> None:
    farmers = {stream.add_user("farmer") for _ in range(2)}
    stream.add_user("sponsor")
    grant = text("INSERT INTO role_permissions VALUES ('farmer', 'users:read')")
    stream.database.transact(lambda connection: connection.execute(grant))
    run(stream)
    told = {event["entity_id"] for event in stream.events() if event["kind"] == "permissions"}
    assert told == {str(user_id) for user_id in farmers}


# Who is owed what


def connect_all(stream: Stream) -> dict[str, UUID]:
    """One of each: an owner, an admin who follows all media, an agent, a follower of a thing."""
    people = {
        "owner": stream.add_user(),
        "admin": stream.add_user("admin"),
        "agent": stream.add_user("agent"),
        "follower": stream.add_user(),
    }
    stream.connect("owner", people["owner"])
    stream.connect("admin", people["admin"], channels=["media"])
    stream.connect("agent", people["agent"])
    stream.connect("follower", people["follower"], channels=["stock", "shipments:123"])
    return people


@pytest.mark.parametrize(
    ("audiences", "owed"),
    [
        (["all"], {"owner", "admin", "agent", "follower"}),
        (["user:{owner}"], {"owner"}),
        (["user:{owner}", "user:{agent}"], {"owner", "agent"}),
        (["role:agent"], {"agent"}),
        (["role:agent", "role:admin"], {"agent", "admin"}),
        (["role:farmer"], set()),
        (["channel:shipments:123"], {"follower"}),
        (["channel:shipments"], set()),
        (["channel:media", "channel:shipments:9"], {"admin"}),
        (["user:{owner}", "role:agent", "channel:stock"], {"owner", "agent", "follower"}),
        (["user:nobody", "tribe:owner", "", "role:agent"], {"agent"}),
        ([], set()),
    ],
)
def test_who_is_of_an_audience_is_owed_the_event(
    stream: Stream, audiences: list[str], owed: set[str]
) -> None:
    people = connect_all(stream)
    told = [audience.format(**people) for audience in audiences]
    write = text(
        "INSERT INTO realtime_broadcasts (entity_type, entity_id, action, audiences, created_by)"
        " VALUES ('shipments', '1', 'left', CAST(:told AS text[]), :by)"
    )
    values = {"told": told, "by": people["owner"]}
    stream.database.transact(lambda connection: connection.execute(write, values))
    assert run(stream) == 1
    assert stream.owed() == dict.fromkeys(owed, 1)
    assert stream.asked_for("send") == owed


def test_the_owner_of_a_media_and_who_follows_all_are_owed_its_changes(stream: Stream) -> None:
    people = connect_all(stream)
    stream.add_media(people["owner"])
    run(stream)
    assert stream.owed() == {"owner": 1, "admin": 1}


def test_who_is_not_ready_is_owed_nothing(stream: Stream) -> None:
    user_id = stream.add_user()
    stream.connect("new", user_id, ready_at=None, dialect=None)
    stream.connect("old", user_id)
    stream.broadcast(user_id)
    run(stream)
    assert stream.owed() == {"old": 1}
    assert stream.asked == [("send", ("old",))]


def test_a_connection_that_is_behind_is_owed_all_of_it(stream: Stream) -> None:
    user_id = stream.add_user()
    stream.connect("A", user_id)
    for _ in range(3):
        stream.broadcast(user_id)
        run(stream)
    assert stream.owed() == {"A": 3}


def test_whom_nothing_concerned_for_long_has_missed_nothing(stream: Stream) -> None:
    """Else they would be told to fetch anew what they show, once history has passed them."""
    user_id = stream.add_user()
    stream.connect("A", user_id)
    for _ in range(3):
        stream.append(new_event("user:somebody-else"))
    stream.broadcast(user_id)
    run(stream)
    assert stream.owed() == {"A": 1}


def test_many_subscriptions_hold_up_nobody(stream: Stream, database_url: str) -> None:
    """Each name compared with each other one, the relay would fail, and fail again."""
    user_id = stream.add_user()
    stream.connect_many(4_000, user_id)
    follow = text("""
        UPDATE realtime_connections SET channels = ARRAY(
            SELECT 'lots:' || md5(realtime_connections.id || number)
            FROM generate_series(1, 100) AS number)""")
    stream.database.transact(lambda connection: connection.execute(follow))
    many = [new_media(user_id) for _ in range(1_000)]
    stream.database.transact(lambda connection: connection.execute(insert(media), many))
    impatient = DatabaseSettings(database_statement_seconds=2)
    with closing(Database(lambda: parse_url(database_url, "the test"), impatient)) as database:
        assert relay(database, stream.ask_for) == 1_000


def test_what_is_too_much_at_once_goes_in_small_parts(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    user_id = stream.add_user()
    for _ in range(60):
        stream.broadcast(user_id)
    append = stream_store.append

    def append_few(connection: Connection, head: int, events: Sequence[NewEvent]) -> int:
        if len(events) > 50:
            raise Unavailable("The statement takes too long.")
        return append(connection, head, events)

    monkeypatch.setattr(stream_store, "append", append_few)
    assert relay(stream.database, stream.ask_for) == 60


# How it is done


def test_all_that_there_is_goes_in_batches(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relaying, "BATCH", 2)
    user_id = stream.add_user()
    stream.connect("A", user_id)
    for _ in range(5):
        stream.broadcast(user_id)
    assert run(stream) == 5
    assert [event["event_offset"] for event in stream.events()] == [1, 2, 3, 4, 5]
    assert stream.asked == [("send", ("A",))] * 3


def test_a_batch_is_six_round_trips_and_an_empty_one_three(stream: Stream) -> None:
    user_id = stream.add_user()
    stream.connect("A", user_id)
    for _ in range(50):
        stream.add_media(user_id)
    with count_statements(stream.database) as traffic:
        run(stream)
    assert (traffic.round_trips, traffic.commits) == (6, 1)
    with count_statements(stream.database) as traffic:
        run(stream)
    assert (traffic.round_trips, traffic.commits) == (3, 1)


def test_what_the_queue_does_not_take_stays_owed(stream: Stream) -> None:
    user_id = stream.add_user()
    stream.connect("A", user_id)
    stream.broadcast(user_id)

    def refuse(*_: object) -> None:
        raise Unavailable("on purpose")

    with pytest.raises(Unavailable):
        relay(stream.database, refuse)
    assert (stream.owed(), stream.undispatched()) == ({"A": 1}, 0)


def test_times_are_those_of_the_changes(stream: Stream) -> None:
    began = datetime.now(UTC)
    stream.broadcast(stream.add_user())
    run(stream)
    (event,) = stream.events()
    assert began <= event["at"] <= event["dispatched_at"]


def test_it_says_how_late_it_was_and_how_much_there_was(
    stream: Stream, capsys: pytest.CaptureFixture[str]
) -> None:
    stream.broadcast(stream.add_user())
    run(stream)
    written = capsys.readouterr().out
    assert '"EventsDispatched":[1.0]' in written.replace(" ", "")
    assert "RelayLagSeconds" in written


def test_a_session_that_ends_closes_its_connections_and_no_others(stream: Stream) -> None:
    user_id = stream.add_user()
    ended = stream.begin_session(user_id)
    stream.connect("phone", user_id, ended)
    stream.connect("tablet", user_id)
    ending = update(sessions).where(sessions.c.id == ended)
    values = {"ended_at": func.now(), "end_reason": "logout"}
    stream.database.transact(lambda connection: connection.execute(ending.values(values)))
    relay(stream.database, stream.ask_for)
    assert stream.asked == [("close", ("phone",))]
    assert stream.events() == []


def test_a_session_that_begins_closes_nothing(stream: Stream) -> None:
    user_id = stream.add_user()
    stream.connect("phone", user_id)
    stream.begin_session(user_id)
    relay(stream.database, stream.ask_for)
    assert stream.asked == []
