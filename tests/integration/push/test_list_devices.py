"""GET /api/v1/devices: which phones are the caller's."""

import pytest

from fieldgate.db.engine import Database
from push import list_devices
from tests.support.database import count_statements
from tests.support.gateway import call
from tests.support.handsets import Handset
from tests.support.one_time_codes import change, rows


def test_a_device_is_shown_without_its_token(grower: Handset) -> None:
    device_id = grower.add(appVersion="2.1", platform="ios", kind="fid")

    answer = grower.ask(list_devices.handler, "GET", "/devices")

    assert answer.status == 200
    (shown,) = answer.data
    assert shown.pop("createdAt").endswith("Z")
    assert shown.pop("lastSeenAt").endswith("Z")
    assert shown == {
        "id": device_id,
        "platform": "ios",
        "kind": "fid",
        "appVersion": "2.1",
        "state": "active",
    }
    assert answer.json()["pagination"]["total"] == 1


def test_who_has_none_sees_none(grower: Handset, stranger: Handset) -> None:
    stranger.add()

    answer = grower.ask(list_devices.handler, "GET", "/devices")

    assert (answer.status, answer.data) == (200, [])
    assert answer.json()["pagination"]["total"] == 0


def test_all_of_ones_sessions_are_seen_newest_first_on_one_page(grower: Handset) -> None:
    ids = [grower.add(f"token-{number}") for number in range(19)]
    ids.append(grower.sign_in_again().add("on-another-phone"))

    assert [shown["id"] for shown in grower.devices()] == ids[::-1]
    assert [shown["id"] for shown in grower.devices("page=2&pageSize=3")] == ids[-4:-7:-1]


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ("last_seen_at = now() - interval '29 days 23 hours'", "active"),
        ("last_seen_at = now() - interval '30 days'", "stale"),
        ("last_seen_at = now() - interval '300 days'", "stale"),
        ("disabled_at = now(), disabled_reason = 'unregistered'", "disabled"),
        ("last_seen_at = '2026-01-01', disabled_at = now(), disabled_reason = 'x'", "disabled"),
    ],
)
def test_its_state_is_told_and_is_active_once_it_registers(
    live_database: Database, grower: Handset, values: str, state: str
) -> None:
    grower.add()
    change(live_database, f"UPDATE devices SET {values}")

    assert [shown["state"] for shown in grower.devices()] == [state]
    grower.add()
    assert [shown["state"] for shown in grower.devices()] == ["active"]
    assert len(rows(live_database, "SELECT * FROM devices")) == 1


@pytest.mark.parametrize(
    ("query", "field"), [("page=0", "page"), ("pageSize=101", "pageSize"), ("userId=1", "userId")]
)
def test_a_query_that_is_none_is_refused(grower: Handset, query: str, field: str) -> None:
    answer = grower.ask(list_devices.handler, "GET", "/devices", query=query)

    assert answer.status == 400
    assert [detail["field"] for detail in answer.error["details"]] == [field]


def test_it_costs_one_round_trip(live_database: Database, grower: Handset) -> None:
    with count_statements(live_database) as traffic:
        grower.devices()

    assert (traffic.round_trips, traffic.commits) == (1, 0)


def test_without_a_token_the_database_is_not_asked(live_database: Database) -> None:
    with count_statements(live_database) as traffic:
        answer = call(list_devices.handler, "GET", "/api/v1/devices")

    assert (answer.status, traffic.round_trips) == (401, 0)
