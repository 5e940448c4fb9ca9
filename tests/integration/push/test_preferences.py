"""GET and PUT /api/v1/notifications/preferences: what somebody wants to hear, and when not."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fieldgate.db.engine import Database
from fieldgate.push.kinds import KINDS
from push import notification_preferences
from tests.support.database import count_statements
from tests.support.gateway import call
from tests.support.handsets import Handset
from tests.support.one_time_codes import change, rows

NIGHT = {"from": "22:00", "to": "06:00", "timeZone": "Africa/Nairobi"}
NOTHING: dict[str, Any] = {"quietHours": None, "muted": []}
CHANGES = "SELECT * FROM change_log WHERE entity = 'notification_preferences' ORDER BY id"


def test_who_has_set_none_has_none(live_database: Database, grower: Handset) -> None:
    answer = grower.preferences()

    assert (answer.status, answer.data) == (200, NOTHING)
    assert rows(live_database, "SELECT * FROM notification_preferences") == []


@pytest.mark.parametrize(
    "wanted",
    [
        {"quietHours": NIGHT, "muted": ["stock_expiry"]},
        {"quietHours": None, "muted": list(KINDS)},
        {"quietHours": NIGHT | {"from": "00:00", "to": "23:59"}, "muted": []},
        {"quietHours": NIGHT | {"timeZone": "UTC"}, "muted": ["general"]},
        {"quietHours": NIGHT | {"timeZone": "America/Argentina/Buenos_Aires"}, "muted": []},
        {"quietHours": NIGHT | {"timeZone": "Etc/GMT+12"}, "muted": []},
        NOTHING,
    ],
)
def test_what_is_set_is_told_then_and_later(grower: Handset, wanted: dict[str, Any]) -> None:
    answer = grower.prefer(wanted)

    assert (answer.status, answer.data) == (200, wanted)
    assert grower.preferences().data == wanted


@pytest.mark.parametrize(
    ("content", "left"),
    [
        ({"quietHours": NIGHT}, {"quietHours": NIGHT, "muted": []}),
        ({"muted": ["general"]}, {"quietHours": None, "muted": ["general"]}),
        ({}, NOTHING),
    ],
)
def test_what_is_left_out_is_asked_for_no_more(
    grower: Handset, content: dict[str, Any], left: dict[str, Any]
) -> None:
    grower.prefer({"quietHours": NIGHT | {"from": "12:00"}, "muted": ["stock_expiry"]})

    assert grower.prefer(content).data == left
    assert grower.preferences().data == left


def test_everybody_has_their_own(grower: Handset, stranger: Handset) -> None:
    grower.prefer({"muted": ["general"]})
    stranger.prefer({"quietHours": NIGHT})

    assert grower.preferences().data == {"quietHours": None, "muted": ["general"]}
    assert stranger.preferences().data == {"quietHours": NIGHT, "muted": []}


def test_a_change_is_on_record_and_the_same_again_is_none(
    live_database: Database, grower: Handset
) -> None:
    grower.prefer({"muted": ["general"]})
    answer = grower.prefer({"muted": []})
    (before,) = rows(live_database, "SELECT * FROM notification_preferences")
    grower.prefer({"muted": []})

    added, changed = rows(live_database, CHANGES)
    assert (added["action"], added["entity_id"]) == ("insert", str(grower.user_id))
    assert (changed["action"], changed["changed"]) == ("update", ["muted"])
    assert changed["actor"] == str(grower.user_id)
    assert changed["request_id"] == answer.headers["x-request-id"]
    assert rows(live_database, "SELECT * FROM notification_preferences") == [before]


def test_a_kind_that_is_no_more_stays_and_is_shown(
    live_database: Database, grower: Handset
) -> None:
    """Whoever muted it can't send it back, and has it shown as it is."""
    grower.prefer({"muted": ["general"]})
    change(live_database, "UPDATE notification_preferences SET muted = '{rain_gauge}'")

    assert grower.preferences().data == {"quietHours": None, "muted": ["rain_gauge"]}


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({"muted": None}, "muted"),
        ({"muted": "general"}, "muted"),
        ({"muted": ["rain"]}, "muted.0"),
        ({"muted": ["general", None]}, "muted.1"),
        ({"muted": ["General"]}, "muted.0"),
        ({"muted": ["general", "general"]}, "muted"),
        ({"muted": ["general"] * 5_000}, "muted"),
        ({"quietHours": {}}, "quietHours.from quietHours.to quietHours.timeZone"),
        ({"quietHours": "22:00-06:00"}, "quietHours"),
        ({"quietHours": NIGHT | {"to": None}}, "quietHours.to"),
        ({"quietHours": NIGHT | {"to": "22:00"}}, "quietHours"),
        ({"quietHours": NIGHT | {"weekdays": [1]}}, "quietHours.weekdays"),
        ({"userId": "1"}, "userId"),
        ({"quiet": NIGHT}, "quiet"),
    ],
)
def test_what_nobody_can_want_is_refused_and_changes_nothing(
    live_database: Database, grower: Handset, content: dict[str, Any], field: str
) -> None:
    answer = grower.prefer(content)

    assert (answer.status, answer.error["code"]) == (400, "VALIDATION_ERROR")
    assert [detail["field"] for detail in answer.error["details"]] == field.split()
    assert rows(live_database, "SELECT * FROM notification_preferences") == []


@pytest.mark.parametrize(
    "clock",
    [
        *("", "6:00", "24:00", "06:60", "0600", "06:00:00", "06:00Z", " 06:00", "06:00\n", "6 am"),
        *("\u0660\u0666:00", "06\uff1a00", "-1:00", "06:00+03:00", 6, 6.5, True, ["06:00"]),
    ],
)
def test_what_is_no_time_of_day_is_refused(grower: Handset, clock: Any) -> None:
    answer = grower.prefer({"quietHours": NIGHT | {"from": clock}})

    assert answer.status == 400
    assert [detail["field"] for detail in answer.error["details"]] == ["quietHours.from"]


@pytest.mark.parametrize(
    "zone",
    [
        *("", "Nairobi", "africa/nairobi", "Africa", "Africa/", "EAT", "+03:00", "GMT+3", "Mars/X"),
        *(
            "/etc/passwd",
            "../zoneinfo/UTC",
            "Africa/../UTC",
            "Africa/Nairobi\x00",
            "Afrika/Näirobi",
        ),
        *("posix/Africa/Nairobi", "right/Africa/Nairobi", "localtime", "Factory", "tzdata.zi"),
        *("\ud800", "x" * 60_000, 3, None, ["UTC"]),
    ],
)
def test_what_is_no_time_zone_is_refused(grower: Handset, zone: Any) -> None:
    answer = grower.prefer({"quietHours": NIGHT | {"timeZone": zone}})

    assert answer.status == 400
    assert [detail["field"] for detail in answer.error["details"]] == ["quietHours.timeZone"]


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    content=st.fixed_dictionaries(
        {},
        optional={
            "quietHours": st.none()
            | st.text(max_size=5)
            | st.fixed_dictionaries(
                {},
                optional={
                    "from": st.times().map(lambda at: f"{at:%H:%M}") | st.text(max_size=5),
                    "to": st.times().map(lambda at: f"{at:%H:%M}") | st.integers(),
                    "timeZone": st.timezone_keys() | st.text(max_size=20),
                },
            ),
            "muted": st.lists(st.sampled_from(KINDS) | st.text(max_size=8), max_size=5),
        },
    )
)
def test_anything_is_refused_or_is_what_is_told_later(
    grower: Handset, content: dict[str, Any]
) -> None:
    before = grower.preferences()
    answer = grower.prefer(content)
    after = grower.preferences()

    # 429: so many requests a minute are more than anybody may make.
    assert answer.status in {200, 400, 429}
    if answer.status == 200:
        assert answer.data == NOTHING | content
        if answer.data["quietHours"]:
            ZoneInfo(answer.data["quietHours"]["timeZone"])
    if after.status == 200 == before.status:
        assert after.data == (answer.data if answer.status == 200 else before.data)


@pytest.mark.parametrize(
    ("body", "status"), [("", 400), ("{", 400), ("[]", 400), ("null", 400), ("x" * 70_000, 413)]
)
def test_what_is_no_request_is_refused(grower: Handset, body: str, status: int) -> None:
    assert grower.prefer(body=body).status == status


def test_who_is_no_more_can_want_nothing(live_database: Database, grower: Handset) -> None:
    change(live_database, "DELETE FROM users")

    answer = grower.prefer({"muted": []})

    assert (answer.status, answer.error["code"]) == (401, "UNAUTHORIZED")


def test_looking_is_a_read_and_replacing_a_write(live_database: Database, grower: Handset) -> None:
    with count_statements(live_database) as looking:
        looked = grower.preferences()
    with count_statements(live_database) as replacing:
        replaced = grower.prefer({"muted": []})

    assert looked.headers["ratelimit-policy"].startswith("60;")
    assert replaced.headers["ratelimit-policy"].startswith("30;")
    assert (looking.round_trips, looking.commits) == (1, 0)
    assert (replacing.round_trips, replacing.commits) == (3, 1)


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_without_a_token_the_database_is_not_asked(live_database: Database, method: str) -> None:
    path = "/api/v1/notifications/preferences"
    with count_statements(live_database) as traffic:
        answer = call(notification_preferences.handler, method, path, content={})

    assert (answer.status, traffic.round_trips) == (401, 0)
