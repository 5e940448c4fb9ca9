"""Closing: who is over hears so and is gone; nobody else is, whatever a message says."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, func, update

from fieldgate.db.tables.all import sessions, users
from realtime import closing
from realtime.fan_out_queue import LAST_TRY, Work
from realtime.fan_out_store import OPENING
from realtime.membership import HANDSHAKE_SECONDS
from tests.support.connections_api import Fault
from tests.support.fan_out import Switchboard
from tests.support.stream import new_event

MINUTE = timedelta(minutes=1)


def end_sessions(board: Switchboard) -> None:
    statement = update(sessions).values(ended_at=func.now(), end_reason="logout")
    board.database.transact(lambda connection: connection.execute(statement))


def _expire_sessions(board: Switchboard) -> None:
    statement = update(sessions).values(expires_at=func.now() - MINUTE)
    board.database.transact(lambda connection: connection.execute(statement))


def _remove_sessions(board: Switchboard) -> None:
    board.database.transact(lambda connection: connection.execute(delete(sessions)))


def _block(board: Switchboard) -> None:
    statement = update(users).values(status="blocked")
    board.database.transact(lambda connection: connection.execute(statement))


def _expire_tokens(board: Switchboard) -> None:
    for name in board.rows():
        board.change(name, token_expires_at=func.now() - timedelta(seconds=1))


@pytest.mark.parametrize(
    ("befall", "reason", "sentence"),
    [
        (end_sessions, "session_ended", "The session has ended."),
        (_expire_sessions, "session_ended", "The session has ended."),
        (_remove_sessions, "session_ended", "The session has ended."),
        (_block, "session_ended", "The session has ended."),
        (_expire_tokens, "token_expired", "The token has expired."),
    ],
)
def test_who_is_over_is_told_to_come_anew_and_closed(
    board: Switchboard, grower: UUID, befall: Any, reason: str, sentence: str
) -> None:
    board.connect("A=", grower)
    board.connect("B=", grower, dialect="json")
    befall(board)

    board.close("A=", "B=")

    assert board.told("A=") == [{"type": 7, "allowReconnect": True, "error": sentence}]
    assert board.api.frames["A="][0].endswith(b"\x1e")
    assert board.told("B=") == [{"type": "close", "reason": reason, "reconnect": True}]
    assert sorted(board.api.deleted) == ["A=", "B="]
    assert board.rows() == {}
    assert board.api.refusals == []


def test_who_never_began_is_closed_without_a_word(board: Switchboard, grower: UUID) -> None:
    begun = func.now() - timedelta(seconds=HANDSHAKE_SECONDS)
    board.connect("A=", grower, ready_at=None, dialect=None, connected_at=begun)
    board.connect("B=", grower, ready_at=None, dialect=None, connected_at=begun + MINUTE / 2)

    board.close()

    assert board.api.asked == [("DELETE", "A=")]
    assert list(board.rows()) == ["B="]


def test_who_is_fine_is_not_closed_whatever_a_message_says(
    board: Switchboard, grower: UUID
) -> None:
    board.connect("A=", grower)
    board.connect("B=", board.stream.add_user())
    statement = (
        update(sessions)
        .where(sessions.c.user_id == grower)
        .values(ended_at=func.now(), end_reason="logout")
    )
    board.database.transact(lambda connection: connection.execute(statement))

    board.close("A=", "B=", "nobody=")

    assert board.api.deleted == ["A="]
    assert list(board.rows()) == ["B="]
    board.announce(new_event())
    board.send()
    assert board.offsets("B=") == [1]


def test_to_be_asked_twice_is_to_be_asked_once(board: Switchboard, grower: UUID) -> None:
    board.connect("A=", grower)
    end_sessions(board)

    board.close("A=")
    board.close("A=")

    assert board.api.asked == [("POST", "A="), ("DELETE", "A=")]


def test_who_is_gone_already_is_forgotten(board: Switchboard, grower: UUID) -> None:
    board.connect("A=", grower)
    end_sessions(board)
    board.api.disconnect("A=")

    board.close()

    assert board.api.asked == [("POST", "A=")]
    assert board.rows() == {}


@pytest.mark.parametrize("fault", [429, 500, 403, "cut"])
def test_the_good_bye_may_fail(board: Switchboard, grower: UUID, fault: Fault) -> None:
    board.connect("A=", grower)
    end_sessions(board)
    board.api.choose_fault = lambda method, _name: fault if method == "POST" else None

    board.close()

    assert board.api.deleted == ["A="]
    assert board.rows() == {}


def test_an_end_that_fails_is_tried_again_later(board: Switchboard, grower: UUID) -> None:
    board.connect("A=", grower)
    end_sessions(board)
    faults: list[Fault] = [503, 429]
    board.api.choose_fault = lambda method, _name: (
        faults.pop() if method == "DELETE" and faults else None
    )

    (left,) = board.close()
    assert left == Work(task="close", connections=("A=",), tries=1)
    assert board.repeat([left]) == 2

    assert board.api.deleted == ["A="]
    assert board.rows() == {}


@pytest.mark.parametrize(("fault", "runs"), [(429, LAST_TRY), (503, LAST_TRY), (403, 0)])
def test_who_cannot_be_closed_stays_to_be_closed_and_holds_up_nobody(
    board: Switchboard, grower: UUID, fault: Fault, runs: int
) -> None:
    for name in ("A=", "B=", "C="):
        board.connect(name, grower)
    end_sessions(board)
    board.api.choose_fault = lambda _method, name: fault if name == "B=" else None

    left = board.close()

    assert list(board.rows()) == ["B="]
    assert board.repeat(left) == runs
    assert board.api.asked.count(("DELETE", "B=")) == runs + 1
    # The sweep finds it.
    board.api.choose_fault = lambda _method, _name: None
    board.close()
    assert board.rows() == {}


def test_what_there_is_no_time_for_is_asked_for_again(
    board: Switchboard, grower: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    board.connect("A=", grower)
    end_sessions(board)
    monkeypatch.setattr(closing, "SENDING_SECONDS", 0)

    left = board.close()

    assert left == [Work(task="close", connections=("A=",), tries=1)]
    assert board.api.asked == []
    monkeypatch.undo()
    assert board.do(*left) == []
    assert board.rows() == {}


def test_of_whom_is_just_connecting_it_is_not_believed_that_they_are_gone(
    board: Switchboard, grower: UUID
) -> None:
    """Until the handshake of the WebSocket is done, API Gateway answers 410."""
    begun = func.now() - OPENING
    board.connect("A=", grower, ready_at=None, dialect=None, connected_at=begun + MINUTE / 12)
    board.connect("B=", grower, ready_at=None, dialect=None, connected_at=begun)
    end_sessions(board)
    for name in ("A=", "B="):
        board.api.disconnect(name)

    assert board.close() == []
    assert list(board.rows()) == ["A="]

    board.api.connect("A=")
    board.close()
    assert board.api.deleted == ["A="]
    assert board.rows() == {}
