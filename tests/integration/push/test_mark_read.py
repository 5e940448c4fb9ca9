"""PUT /api/v1/notifications/{id}/read: somebody has read it."""

from uuid import uuid4

import pytest

from fieldgate.db.engine import Database
from push import inbox_store, mark_read
from tests.support.database import count_statements
from tests.support.gateway import call
from tests.support.handsets import Handset, sign_in, tell
from tests.support.one_time_codes import rows
from tests.support.racing import race


def test_it_is_read_from_now_on(live_database: Database, grower: Handset) -> None:
    told = tell(live_database, grower)

    answer = grower.read(told)

    assert (answer.status, answer.data["id"]) == (200, str(told))
    assert answer.data["readAt"].endswith("Z")
    (entry,) = grower.inbox().data
    assert entry["readAt"] == answer.data["readAt"]


def test_the_first_time_stays(live_database: Database, grower: Handset) -> None:
    told = tell(live_database, grower)
    (first,) = {grower.read(told).data["readAt"] for _ in range(3)}

    assert grower.inbox().data[0]["readAt"] == first


def test_of_many_at_once_one_is_the_first_and_all_are_told_its_time(
    live_database: Database, database_url: str, grower: Handset
) -> None:
    told = tell(live_database, grower)

    def read(database: Database) -> object:
        return database.transact(
            lambda connection: inbox_store.mark_read(connection, told, grower.user_id)
        )

    (read_at,) = set(race(database_url, [read] * 10))
    assert read_at is not None


def test_it_is_read_by_who_read_it_and_nobody_else(
    live_database: Database, grower: Handset, stranger: Handset
) -> None:
    told = tell(live_database, grower, stranger)
    grower.read(told)

    assert stranger.inbox().data[0]["readAt"] is None
    assert len(rows(live_database, "SELECT * FROM notification_recipients")) == 2


def test_anothers_and_unknown_ones_are_404_alike(
    live_database: Database, grower: Handset, stranger: Handset
) -> None:
    """Also to who may send notifications."""
    told = tell(live_database, stranger)
    boss = sign_in(live_database, "admin")

    answers = [grower.read(told), grower.read(uuid4()), boss.read(told)]

    assert [answer.status for answer in answers] == [404, 404, 404]
    assert len({str(answer.error) for answer in answers}) == 1
    assert stranger.inbox().data[0]["readAt"] is None


def test_reading_is_nothing_to_record(live_database: Database, grower: Handset) -> None:
    told = tell(live_database, grower)
    before = rows(live_database, "SELECT max(id) FROM change_log")
    grower.read(told)

    assert rows(live_database, "SELECT max(id) FROM change_log") == before


@pytest.mark.parametrize("notification_id", ["1", "preferences", "%00", "' OR true--"])
def test_what_is_no_id_is_refused(grower: Handset, notification_id: str) -> None:
    answer = grower.read(notification_id)

    assert (answer.status, answer.error["code"]) == (400, "VALIDATION_ERROR")
    assert [detail["field"] for detail in answer.error["details"]] == ["id"]


def test_it_costs_two_round_trips(live_database: Database, grower: Handset) -> None:
    told = tell(live_database, grower)
    with count_statements(live_database) as traffic:
        grower.read(told)

    assert (traffic.round_trips, traffic.commits) == (2, 1)


def test_without_a_token_it_is_a_401(live_database: Database, grower: Handset) -> None:
    told = tell(live_database, grower)

    answer = call(mark_read.handler, "PUT", f"/api/v1/notifications/{told}/read")

    assert answer.status == 401
    assert grower.inbox().data[0]["readAt"] is None
