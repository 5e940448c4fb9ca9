"""What becomes of a recipient, by what was said of each of their phones."""

from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldgate.push import Outcome
from fieldgate.queues import pause_seconds
from push.delivery_store import Device, Taken
from push.judging import AGAIN, GIVE_UP_AFTER, JITTER, judge, judge_without_pushing

NOW = datetime(2026, 1, 10, 22, 0, tzinfo=UTC)
VERDICTS = [
    *("sent", "unregistered", "sender_mismatch", "bad_message"),
    *("passing", "misconfigured", "not_tried"),
]


def device() -> Device:
    return Device(uuid4(), b"", "token")


def taken(**values: Any) -> Taken:
    row: dict[str, Any] = {
        "notification_id": uuid4(),
        "user_id": uuid4(),
        "attempts": 1,
        "sent": 0,
        "now": NOW,
        "age": timedelta(minutes=1),
        "is_read": False,
        "kind": "general",
        "title": "Rain",
        "body": "Bring the maize in.",
        "data": {},
        "collapse_key": "k",
        "is_muted": False,
        "quiet_from": None,
        "quiet_to": None,
        "time_zone": None,
        "unread": 1,
        "devices": [device()],
    }
    return Taken(**(row | values))


def said(*verdicts: Any, **values: Any) -> list[tuple[Device, Outcome]]:
    return [(device(), Outcome(verdict, **values)) for verdict in verdicts]


@given(
    verdicts=st.lists(st.sampled_from(VERDICTS), min_size=1, max_size=6),
    sent=st.integers(0, 3),
    hours=st.integers(0, 72),
)
def test_nobody_is_done_while_a_phone_may_still_get_it(
    verdicts: list[str], sent: int, hours: int
) -> None:
    outcomes = said(*verdicts)
    one = taken(sent=sent, age=timedelta(hours=hours))
    judgement = judge(one, outcomes)
    done = {found.id for found in judgement.done}
    assert done == {found.id for found, outcome in outcomes if outcome.verdict not in AGAIN}
    may = any(verdict in AGAIN for verdict in verdicts) and one.age < GIVE_UP_AFTER
    assert (judgement.state == "queued") == may
    if not may:
        has_it = sent or "sent" in verdicts
        assert judgement.state == ("sent" if has_it else "failed")
        assert has_it or judgement.reason
    assert judgement.newly_sent == verdicts.count("sent")


def test_a_pause_grows_with_the_tries_and_heeds_what_is_asked_for() -> None:
    for attempts in range(1, 12):
        pause = judge(taken(attempts=attempts), said("passing")).pause
        own = pause_seconds(attempts)
        assert own <= pause <= own * (1 + JITTER)
    asked = judge(taken(), said("passing", retry_after=60.0)).pause
    assert 60 <= asked <= 60 * (1 + JITTER)
    assert judge(taken(attempts=9), said("passing", retry_after=1.0)).pause >= pause_seconds(9)


def test_what_there_was_no_time_for_is_no_try() -> None:
    judgement = judge(taken(), said("sent", "not_tried"))
    assert not judgement.counts
    assert judgement.state == "queued"
    assert 0 < judgement.pause < pause_seconds(1)
    assert judge(taken(), said("not_tried", "passing")).counts


@pytest.mark.parametrize(
    ("values", "state", "reason"),
    [
        ({"is_muted": True}, "suppressed", "muted"),
        ({"is_read": True}, "suppressed", "read"),
        ({"devices": []}, "suppressed", "no_device"),
        ({"devices": [], "sent": 1}, "sent", None),
        ({"is_read": True, "sent": 1}, "sent", None),
        ({"is_muted": True, "sent": 1}, "sent", None),
    ],
)
def test_some_need_no_push(values: dict[str, Any], state: str, reason: str | None) -> None:
    judgement = judge_without_pushing(taken(**values), is_on=True)
    assert judgement
    assert (judgement.state, judgement.reason) == (state, reason)


def test_while_pushing_is_off_all_is_suppressed() -> None:
    judgement = judge_without_pushing(taken(), is_on=False)
    assert judgement
    assert (judgement.state, judgement.reason) == ("suppressed", "push_off")


def test_in_quiet_hours_it_waits_for_their_end_and_that_is_no_try() -> None:
    quiet = {"quiet_from": time(22), "quiet_to": time(6), "time_zone": "Africa/Nairobi"}
    judgement = judge_without_pushing(taken(**quiet), is_on=True)
    assert judgement
    assert (judgement.state, judgement.counts) == ("queued", False)
    assert judgement.due_at == datetime(2026, 1, 11, 3, 0, tzinfo=UTC)
    assert judge_without_pushing(taken(**quiet | {"now": judgement.due_at}), is_on=True) is None
