"""Apps that are no more, and tokens that are of no use."""

import pytest
from sqlalchemy import func

from fieldgate.db.tables.push import devices
from fieldgate.push import Outcome
from tests.conftest import run_sql
from tests.support.log import Log
from tests.support.pushes import Board, saying


def test_an_app_that_is_no_more_is_not_asked_again(board: Board) -> None:
    board.pusher.say = saying(gone=Outcome("unregistered", "unregistered"))
    agent = board.add_person("agent", token="gone")
    good = board.add_device(agent, "good-1")
    notification_id = board.tell()
    board.deliver()
    row = board.recipient(notification_id, agent)
    assert (row["state"], row["sent"], len(row["done_devices"])) == ("sent", 1, 2)
    gone, kept = board.devices_of(agent)
    assert (gone["disabled_reason"], kept["disabled_at"]) == ("unregistered", None)
    assert kept["id"] == good
    board.tell()
    board.deliver()
    assert len([one for one in board.pusher.addresses if one.startswith("gone")]) == 1


def test_who_has_only_such_apps_is_failed(board: Board) -> None:
    board.pusher.say = saying(gone=Outcome("unregistered", "unregistered"))
    agent = board.add_person("agent", token="gone")
    notification_id = board.tell()
    assert board.deliver() == {"failed": 1}
    assert board.recipient(notification_id, agent)["reason"] == "unregistered"


def test_an_app_that_registered_again_meanwhile_is_kept(board: Board) -> None:
    agent = board.add_person("agent", token="gone")

    def say(_message: object) -> Outcome:
        board.change(devices, devices.c.user_id == agent, last_seen_at=func.clock_timestamp())
        return Outcome("unregistered", "unregistered")

    board.pusher.say = say
    board.tell()
    board.deliver()
    (row,) = board.devices_of(agent)
    assert row["disabled_at"] is None


def test_a_message_that_nobody_takes_costs_no_phone(board: Board) -> None:
    board.pusher.say = lambda _: Outcome("bad_message", "invalid_argument")
    agent = board.add_person("agent")
    notification_id = board.tell()
    board.deliver()
    row = board.recipient(notification_id, agent)
    assert (row["state"], row["reason"]) == ("failed", "bad_message")
    assert board.devices_of(agent)[0]["disabled_at"] is None


def test_a_token_that_cannot_be_read_any_more_is_disabled(board: Board) -> None:
    agent = board.add_person("agent", devices=0)
    board.add_device(agent, "good-1", token=b"of another pepper")
    notification_id = board.tell()
    board.deliver()
    assert board.recipient(notification_id, agent)["state"] == "failed"
    assert board.devices_of(agent)[0]["disabled_reason"] == "unregistered"
    assert board.pusher.messages == []


def test_a_token_of_another_project_is_disabled_where_ours_is_right(board: Board) -> None:
    board.pusher.say = saying(other=Outcome("sender_mismatch", "sender_mismatch"))
    stranger = board.add_person("agent", token="other")
    board.add_person("agent")
    board.tell()
    board.deliver()
    assert board.devices_of(stranger)[0]["disabled_reason"] == "sender_mismatch"
    # Also later, when nothing else is sent at the same time.
    late = board.add_person("farmer", token="other")
    board.tell(user_ids=[late])
    board.deliver()
    assert board.devices_of(late)[0]["disabled_reason"] == "sender_mismatch"


def test_where_every_token_is_of_another_project_it_is_ours_that_is_wrong(
    board: Board, log: Log, capsys: pytest.CaptureFixture[str]
) -> None:
    board.pusher.say = lambda _: Outcome("sender_mismatch", "sender_mismatch")
    people = [board.add_person("agent") for _ in range(4)]
    notification_id = board.tell()
    board.deliver()
    assert board.states(notification_id) == {"queued": 4}
    assert all(board.devices_of(one)[0]["disabled_at"] is None for one in people)
    assert log.said("pushes need somebody to act")[0]["reasons"] == ["sender_mismatch"]
    assert '"PushAlarm":[1.0]' in capsys.readouterr().out


def test_what_disabled_a_device_is_on_record(board: Board, database_url: str) -> None:
    board.pusher.say = saying(gone=Outcome("unregistered"))
    agent = board.add_person("agent", token="gone")
    board.tell()
    board.deliver()
    device_id = board.devices_of(agent)[0]["id"]
    ((actor, changed, token),) = run_sql(
        database_url,
        "SELECT actor, changed, after ->> 'token' FROM change_log"
        f" WHERE entity = 'devices' AND action = 'update' AND entity_id = '{device_id}'",
    )
    assert actor == "system:deliver_push"
    assert set(changed) == {"disabled_at", "disabled_reason"}  # type: ignore[call-overload]
    assert token == "***"
