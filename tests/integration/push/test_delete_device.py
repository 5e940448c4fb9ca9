"""DELETE /api/v1/devices/{id}: one phone less."""

from uuid import uuid4

import pytest

from fieldgate.db.engine import Database
from push import delete_device
from tests.support.database import count_statements
from tests.support.gateway import call
from tests.support.handsets import Handset
from tests.support.one_time_codes import rows


def test_it_is_gone_and_on_record(live_database: Database, grower: Handset) -> None:
    device_id, other = grower.add(), grower.add("another-token")

    answer = grower.delete(device_id)

    assert (answer.status, answer.body) == (204, b"")
    assert [shown["id"] for shown in grower.devices()] == [other]
    query = "SELECT actor, request_id, before FROM change_log WHERE action = 'delete'"
    (gone,) = rows(live_database, query)
    assert gone["actor"] == str(grower.user_id)
    assert gone["request_id"] == answer.headers["x-request-id"]
    assert gone["before"]["token"] == "***"


def test_a_device_at_another_session_of_ones_own_is_ones_own(grower: Handset) -> None:
    device_id = grower.sign_in_again().add()

    assert grower.delete(device_id).status == 204
    assert grower.devices() == []


def test_anothers_unknown_and_gone_ones_are_404_alike(grower: Handset, stranger: Handset) -> None:
    anothers, gone = stranger.add("a-strangers"), grower.add()
    assert grower.delete(gone).status == 204

    answers = [grower.delete(device_id) for device_id in (anothers, gone, uuid4())]

    assert [answer.status for answer in answers] == [404, 404, 404]
    assert len({str(answer.error) for answer in answers}) == 1
    assert [shown["id"] for shown in stranger.devices()] == [anothers]


def test_one_that_moved_to_another_is_theirs_alone(grower: Handset, stranger: Handset) -> None:
    device_id = grower.add()
    stranger.add()

    assert grower.delete(device_id).status == 404
    assert stranger.delete(device_id).status == 204


def test_what_was_deleted_can_be_registered_again(grower: Handset) -> None:
    device_id = grower.add()
    grower.delete(device_id)

    again = grower.add()

    assert [shown["id"] for shown in grower.devices()] == [again]
    assert again != device_id


@pytest.mark.parametrize("device_id", ["1", "device", "' OR true--", "%00"])
def test_what_is_no_id_is_refused(grower: Handset, device_id: str) -> None:
    answer = grower.delete(device_id)

    assert (answer.status, answer.error["code"]) == (400, "VALIDATION_ERROR")
    assert [detail["field"] for detail in answer.error["details"]] == ["id"]


def test_it_costs_two_round_trips(live_database: Database, grower: Handset) -> None:
    device_id = grower.add()
    with count_statements(live_database) as traffic:
        grower.delete(device_id)

    assert (traffic.round_trips, traffic.commits) == (2, 1)


def test_without_a_token_it_is_a_401(grower: Handset) -> None:
    device_id = grower.add()

    answer = call(delete_device.handler, "DELETE", f"/api/v1/devices/{device_id}")

    assert answer.status == 401
    assert len(grower.devices()) == 1
