"""The worker over Firebase's SDK and HTTP: what phones get, and what is noted of five hundred."""

from collections.abc import Iterator

import pytest

from fieldgate.db.engine import Database
from fieldgate.push.fcm import FcmPusher
from fieldgate.push.fcm_sending import Waits
from local.fcm_errors import FcmErrorCode, error_answer
from tests.support.fcm import RunningFcm, run_fcm
from tests.support.pushes import Board

# What people's phones say, in turn, and what becomes of their notification.
CODES: dict[str, FcmErrorCode] = {
    "gone": "UNREGISTERED",
    "theirs": "SENDER_ID_MISMATCH",
    "bad": "INVALID_ARGUMENT",
    "who": "UNAUTHENTICATED",
    "denied": "PERMISSION_DENIED",
    "nowhere": "NOT_FOUND",
    "busy": "QUOTA_EXCEEDED",
    "internal": "INTERNAL",
    "down": "UNAVAILABLE",
}
STATES = {"good": "sent", "bad": "failed", "gone": "failed", "theirs": "failed"}
KINDS = ["good", *CODES, "hang"]
PEOPLE = 500


@pytest.fixture
def fcm(environment: pytest.MonkeyPatch) -> Iterator[RunningFcm]:
    with run_fcm() as running:
        yield running


@pytest.fixture
def board(live_database: Database, fcm: RunningFcm) -> Iterator[Board]:
    credentials = fcm.settings["FIREBASE_CREDENTIALS"]
    pusher = FcmPusher(lambda: credentials, url=fcm.url, waits=Waits(1, 0.5))
    yield Board(live_database, pusher=pusher)  # type: ignore[arg-type]
    pusher.close()


def test_of_five_hundred_only_dead_phones_go_and_every_other_has_it_or_will(
    board: Board, fcm: RunningFcm
) -> None:
    fcm.answers |= {kind: lambda code=code: error_answer(code) for kind, code in CODES.items()}  # type: ignore[misc]
    people = {}
    for number in range(PEOPLE):
        kind = KINDS[number % len(KINDS)]
        person = board.add_person(devices=0)
        board.add_device(person, f"{kind}-{number}")
        people[person] = kind
        if kind == "hang":
            fcm.break_token(f"{kind}-{number}", "hang")
    notification_id = board.tell()

    board.deliver()

    assert set(fcm.requests.values()) == {1}
    assert fcm.requests.total() == PEOPLE
    recipients = {row["user_id"]: row for row in board.recipients(notification_id)}
    for person, kind in people.items():
        row = recipients[person]
        (device,) = board.devices_of(person)
        assert row["state"] == STATES.get(kind, "queued"), kind
        assert (device["disabled_at"] is not None) == (kind in {"gone", "theirs"}), kind
    good = [person for person, kind in people.items() if kind == "good"]
    assert len(fcm.messages()) == len(good)

    # When all is well again those who wait have it, and nobody has it twice.
    fcm.answers.clear()
    for token in list(fcm.requests):
        fcm.break_token(token, "hang", 0)
    board.make_due()
    board.deliver()
    waiting = [kind for kind in people.values() if kind not in STATES]
    assert len(fcm.messages()) == len(good) + len(waiting)
    assert len(set(fcm.tokens())) == len(fcm.tokens())
    assert board.states(notification_id) == {
        "sent": len(good) + len(waiting),
        "failed": PEOPLE - len(good) - len(waiting),
    }


def test_nobody_is_forgotten_for_a_project_that_is_not_ours(board: Board, fcm: RunningFcm) -> None:
    fcm.answers["phone"] = lambda: error_answer("SENDER_ID_MISMATCH")
    person = board.add_person(token="phone")
    notification_id = board.tell()
    board.deliver()
    assert board.states(notification_id) == {"queued": 1}
    assert board.devices_of(person)[0]["disabled_at"] is None


def test_a_minute_is_waited_where_fcm_asks_for_it(board: Board, fcm: RunningFcm) -> None:
    person = board.add_person(token="busy")
    notification_id = board.tell()
    fcm.answers["busy"] = lambda: error_answer("QUOTA_EXCEEDED", retry_after=60)
    board.deliver()
    row = board.recipient(notification_id, person)
    assert (row["state"], row["reason"]) == ("queued", "quota_exceeded")
    assert min(board.wakes) >= 60
    board.deliver()
    assert fcm.requests.total() == 1


def test_a_provider_that_is_silent_is_left_alone_after_one_batch(
    board: Board, fcm: RunningFcm
) -> None:
    for _ in range(60):
        board.add_person()
    notification_id = board.tell()
    fcm.faults.set("fcm", "hang", 60)
    board.deliver()
    assert board.states(notification_id) == {"queued": 60}
    board.make_due()
    before = fcm.standin.token_requests
    assert board.deliver() == {}
    assert fcm.standin.token_requests == before
