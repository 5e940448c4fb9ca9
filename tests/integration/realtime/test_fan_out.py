"""What workers post, to whom, and what the mailboxes say then."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, func, insert, update

from fieldgate.db.tables.all import (
    realtime_events,
    realtime_stream,
    role_permissions,
    sessions,
    user_roles,
    users,
)
from fieldgate.errors import Unavailable
from realtime import fanning_out
from realtime.fan_out_queue import LAST_TRY, Work
from tests.support.database import count_statements
from tests.support.fan_out import Switchboard
from tests.support.stream import new_event

MINUTE = timedelta(minutes=1)


def run(board: Switchboard, statement: Any) -> None:
    board.database.transact(lambda connection: connection.execute(statement))
    board.stream.settle()


def is_settled(board: Switchboard) -> bool:
    """Say whether everybody has what they are owed, and nobody is being posted to."""
    return not board.stream.owed() and not board.leased()


def test_each_gets_what_they_may_see_in_order(board: Switchboard, grower: UUID) -> None:
    other = board.stream.add_user("warehouse_manager")
    board.connect("A=", grower)
    board.connect("B=", other, dialect="json", channels=["shipments:7"])
    board.announce(
        new_event("all"),
        new_event(f"user:{grower}"),
        new_event("role:warehouse_manager"),
        new_event("channel:shipments", "channel:shipments:7"),
        new_event("all"),
    )

    board.send("A=", "B=")

    assert board.offsets("A=") == [1, 2, 5]
    assert board.offsets("B=") == [1, 3, 4, 5]
    assert len(board.api.frames["A="]) == 1
    assert is_settled(board)
    assert board.api.refusals == []


def test_permissions_are_told_as_they_are_now_and_only_to_whose_they_are(
    board: Switchboard, grower: UUID
) -> None:
    board.connect("A=", grower)
    board.connect("B=", board.stream.add_user("admin"))
    told = {"kind": "permissions", "entity_type": "users", "entity_id": str(grower)}
    board.announce(new_event(f"user:{grower}", **told))
    run(board, insert(user_roles).values(user_id=grower, role="warehouse_manager"))

    board.send()

    (message,) = board.told("A=")
    assert message["target"] == "PermissionsUpdated"
    assert board.told("B=") == []
    wanted = board.database.read(
        lambda c: set(
            c.scalars(
                role_permissions.select()
                .with_only_columns(role_permissions.c.permission)
                .where(role_permissions.c.role.in_(["agent", "warehouse_manager"]))
            )
        )
    )
    assert message["arguments"][0]["permissions"] == sorted(wanted)


def test_a_run_takes_five_round_trips(board: Switchboard, grower: UUID) -> None:
    names = board.connect_many(20, grower)
    board.announce(new_event())

    with count_statements(board.database) as traffic:
        board.send(*names)

    # Claim, events, release; the first and the last are committed.
    assert (len(traffic.statements), traffic.round_trips) == (3, 5)


def test_what_nobody_is_owed_is_not_posted(board: Switchboard, grower: UUID) -> None:
    board.connect("A=", grower)
    board.announce(new_event())
    board.send()

    board.send()
    board.send("nobody=")

    assert board.offsets("A=") == [1]


def test_who_may_see_none_of_it_is_moved_on_without_a_post(
    board: Switchboard, grower: UUID
) -> None:
    board.connect("A=", grower)
    board.announce(new_event("role:admin"), new_event("channel:media"))

    board.send()

    assert board.api.asked == []
    assert is_settled(board)


def test_only_those_that_a_message_names_are_posted_to(board: Switchboard, grower: UUID) -> None:
    board.connect("A=", grower)
    board.connect("B=", grower)
    board.announce(new_event())

    board.send("B=")

    assert set(board.stream.owed()) == {"A="}
    assert board.offsets("A=") == []


# Between the dispatch and the sending


def _end_session(board: Switchboard) -> None:
    run(board, update(sessions).values(ended_at=func.now(), end_reason="logout"))


def _let_session_expire(board: Switchboard) -> None:
    run(board, update(sessions).values(expires_at=func.now() - MINUTE))


def _remove_session(board: Switchboard) -> None:
    run(board, delete(sessions))


def _block(board: Switchboard) -> None:
    run(board, update(users).values(status="blocked"))


def _let_token_expire(board: Switchboard) -> None:
    board.change("A=", token_expires_at=func.now() - MINUTE)


def _unready(board: Switchboard) -> None:
    board.change("A=", ready_at=None, dialect=None)


@pytest.mark.parametrize(
    "befall",
    [_end_session, _let_session_expire, _remove_session, _block, _let_token_expire, _unready],
)
def test_who_may_not_be_there_any_more_is_sent_nothing(
    board: Switchboard, grower: UUID, befall: Any
) -> None:
    board.connect("A=", grower)
    board.announce(new_event("all"), new_event(f"user:{grower}"))
    befall(board)

    board.send()

    assert board.api.asked == []
    assert board.leased() == []


def test_the_session_of_somebody_else_opens_nothing(board: Switchboard, grower: UUID) -> None:
    board.connect("A=", grower, session_id=board.stream.begin_session(board.stream.add_user()))
    board.announce(new_event())

    board.send()

    assert board.api.asked == []


def test_who_lost_a_role_is_not_told_what_is_for_it(board: Switchboard, grower: UUID) -> None:
    board.connect("A=", grower)
    board.announce(new_event("role:agent"), new_event("all"))
    run(board, delete(user_roles))

    board.send()

    assert board.offsets("A=") == [2]
    assert is_settled(board)


@pytest.mark.parametrize("topic", ["media", "users"])
def test_a_guarded_channel_needs_its_permission_when_it_is_told(
    board: Switchboard, grower: UUID, topic: str
) -> None:
    admin = board.stream.add_user("admin")
    for name, user_id in (("A=", grower), ("B=", admin)):
        board.connect(name, user_id, channels=[topic, f"{topic}:1"])
    board.announce(new_event(f"channel:{topic}", f"channel:{topic}:1", entity_type=topic))

    board.send()

    assert (board.offsets("A="), board.offsets("B=")) == ([], [1])

    run(board, delete(user_roles).where(user_roles.c.user_id == admin))
    board.announce(new_event(f"channel:{topic}", entity_type=topic))
    board.send()

    assert board.offsets("B=") == [1]


# Long ways


def test_what_is_forgotten_is_to_be_fetched_anew(board: Switchboard, grower: UUID) -> None:
    board.connect("A=", grower)
    board.connect("B=", grower, dialect="json")
    board.connect("C=", grower, sent_offset=3)
    board.announce(*[new_event() for _ in range(5)])
    run(board, delete(realtime_events).where(realtime_events.c.event_offset <= 3))
    run(board, update(realtime_stream).values(trimmed=3))

    board.send()

    (invocation,) = board.told("A=")
    (argument,) = invocation["arguments"]
    assert (argument["action"], argument["offset"]) == ("refetch", 5)
    assert argument["epoch"] == str(board.stream.stream_row()["epoch"])
    (message,) = board.told("B=")
    assert message["type"] == "refetch"
    assert (message["epoch"], message["offset"]) == (str(board.stream.stream_row()["epoch"]), 5)
    assert board.offsets("C=") == [4, 5]
    assert is_settled(board)


def test_a_long_way_is_gone_in_rounds(
    board: Switchboard, grower: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fanning_out, "MOST_EVENTS", 3)
    board.connect("A=", grower)
    board.connect("B=", grower, sent_offset=7)
    board.connect("C=", board.stream.add_user())
    board.announce(*[new_event("all", f"user:{grower}") for _ in range(6)])
    board.announce(*[new_event(f"user:{grower}") for _ in range(4)])

    board.send()

    assert board.offsets("A=") == list(range(1, 11))
    assert board.offsets("B=") == [8, 9, 10]
    assert board.offsets("C=") == list(range(1, 7))
    assert is_settled(board)


def test_a_run_whose_time_is_over_begins_nothing(board: Switchboard, grower: UUID) -> None:
    from fieldgate import deadline

    board.connect("A=", grower)
    board.announce(new_event())

    with deadline.within(-1), pytest.raises(Unavailable):
        board.send()

    assert board.api.asked == []
    assert board.leased() == []


def test_what_there_is_no_time_for_is_given_back(
    board: Switchboard, grower: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    board.connect("A=", grower, dialect="json")
    board.announce(new_event(), new_event())
    monkeypatch.setattr(fanning_out, "SENDING_SECONDS", 0)

    left = board.send()

    assert left == [Work(task="send", connections=("A=",), tries=1)]
    assert board.leased() == []
    # Nor does it count as a try.
    assert board.do(left[0].model_copy(update={"tries": LAST_TRY})) == left
    assert board.api.asked == []
    monkeypatch.undo()
    assert board.do(*left) == []
    assert board.offsets("A=") == [1, 2]
