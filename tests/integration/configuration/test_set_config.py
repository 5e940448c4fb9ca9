"""Setting a key and taking it back, as admins meet them; and what is kept of it."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from configuration import setting
from fieldgate import configuration
from fieldgate.configuration import REGISTRY
from fieldgate.db.engine import Database
from fieldgate.http.idempotency import IdempotentRequest
from fieldgate.two_level_cache.two_levels import TwoLevels
from tests.integration.configuration.conftest import BOSS, PATH, Office
from tests.support.gateway import Answer, call
from tests.support.lost_commits import lost_commit
from tests.support.racing import outcomes, race

KEY = "IMAGE_MAX_WIDTH"


def refused(answer: Answer, status: int, code: str) -> list[dict[str, str]]:
    assert (answer.status, answer.error["code"]) == (status, code), answer.body
    details: list[dict[str, str]] = answer.error["details"]
    return details


# What there is


def test_all_keys_are_listed_with_what_is_in_force(office: Office) -> None:
    shown = office.listed().data
    assert [one["key"] for one in shown] == list(REGISTRY)
    assert office.shown(KEY) == {
        "key": KEY,
        "value": 500,
        "default": 500,
        "type": "integer",
        "category": "images",
        "description": "The most pixels across of the picture for people",
        "active": True,
        "version": 0,
        "updatedAt": None,
    }


def test_what_is_set_is_shown_and_in_force_at_once(office: Office) -> None:
    assert configuration.value(KEY) == 500
    answer = office.put(KEY, 640)
    assert answer.status == 200
    assert answer.data == office.shown(KEY)
    assert {name: answer.data[name] for name in ("value", "default", "active", "version")} == {
        "value": 640,
        "default": 500,
        "active": True,
        "version": 1,
    }
    assert answer.data["updatedAt"].endswith("Z")
    assert configuration.value(KEY) == 640


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("IMAGE_ENABLE_AUTO_RESIZE", False),
        ("IMAGE_MAX_SIZE_MB", 0.5),
        ("IMAGE_MAX_SIZE_MB", 7),
        ("AI_IMAGE_QUALITY", 30),
        ("STOCK_TIME_ZONE", "Africa/Kampala"),
    ],
)
def test_a_value_keeps_its_type(office: Office, key: str, value: Any) -> None:
    assert office.put(key, value).data["value"] == value
    found = configuration.value(key)
    assert (found, type(found)) == (value, type(value))
    assert configuration.values()[key] == value


def test_what_is_not_active_leaves_the_default_in_force(office: Office) -> None:
    answer = office.put(KEY, 640, active=False)
    assert (answer.data["value"], answer.data["active"]) == (640, False)
    assert configuration.value(KEY) == 500
    assert office.put(KEY, 640).data["active"] is True
    assert configuration.value(KEY) == 640


# What is refused


@pytest.mark.parametrize("permission", ["config:write"])
def test_it_needs_the_permission(
    office: Office, office_without: Callable[[str], Office], permission: str
) -> None:
    stranger = office_without(permission)
    for answer in (
        stranger.listed(),
        stranger.history(KEY),
        stranger.put(KEY, 640),
        stranger.roll_back(KEY),
    ):
        refused(answer, 403, "FORBIDDEN")
    assert office.shown(KEY)["version"] == 0


@pytest.mark.parametrize("key", ["NO_SUCH_KEY", "image_max_width", "..%2F", "%00", "x" * 500])
def test_an_unknown_key_is_not_found(office: Office, key: str) -> None:
    for answer in (office.history(key), office.put(key, 1), office.roll_back(key)):
        refused(answer, 404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (KEY, "640", "must be a whole number"),
        (KEY, True, "must be a whole number"),
        (KEY, 640.0, "must be a whole number"),
        (KEY, None, "must be a whole number"),
        (KEY, [640], "must be a whole number"),
        (KEY, 15, "must be from 16 to 4096"),
        (KEY, 4097, "must be from 16 to 4096"),
        (KEY, 10**400, "must be from 16 to 4096"),
        ("IMAGE_ENABLE_AUTO_RESIZE", 1, "must be true or false"),
        ("IMAGE_ENABLE_AUTO_RESIZE", "true", "must be true or false"),
        ("IMAGE_MAX_SIZE_MB", float("nan"), "must be from 0.1 to 50"),
        ("IMAGE_MAX_SIZE_MB", float("inf"), "must be from 0.1 to 50"),
        ("STOCK_TIME_ZONE", "Nairobi", 'must be a time zone, named as in "Africa/Nairobi"'),
        ("STOCK_TIME_ZONE", 3, "must be a text"),
    ],
)
def test_a_value_of_another_type_or_out_of_bounds_is_refused(
    office: Office, key: str, value: Any, message: str
) -> None:
    details = refused(office.put(key, value), 400, "VALIDATION_ERROR")
    assert details == [{"field": "value", "message": message}]
    assert office.shown(key)["version"] == 0


@pytest.mark.parametrize(
    "body",
    ["", "[]", "{}", '{"value": 640, "version": 3}', '{"value": 640, "active": 1}', "{value: 1}",
     '{"value": ' + "9" * 5000 + "}"],
)  # fmt: skip
def test_a_body_of_another_shape_is_refused(office: Office, body: str) -> None:
    from configuration import set_config

    answer = call(
        set_config.handler, "PUT", f"{PATH}/{KEY}", body=body, authorizer=office.authorizer
    )
    refused(answer, 400, "VALIDATION_ERROR")


# History


def test_every_version_is_kept_with_who_made_it(office: Office) -> None:
    for value in (640, 650, 660):
        office.put(KEY, value)
    office.put("AI_IMAGE_QUALITY", 60)
    office.put(KEY, 660, active=False)

    first, second = office.history(KEY, "pageSize=3"), office.history(KEY, "page=2&pageSize=3")

    seen = [(past["version"], past["value"], past["active"]) for past in first.data]
    assert seen == [(4, 660, False), (3, 660, True), (2, 650, True)]
    assert [past["version"] for past in second.data] == [1]
    assert {past["actor"] for past in first.data} == {str(BOSS.id)}
    assert first.data[0]["at"] > second.data[0]["at"]
    assert first.json()["pagination"]["total"] == 4


def test_a_key_that_nobody_set_has_no_history(office: Office) -> None:
    for query in ("", "page=9"):
        answer = office.history(KEY, query)
        assert (answer.data, answer.json()["pagination"]["total"]) == ([], 0)


def test_what_was_done_past_the_functions_is_in_the_history_too(
    office: Office, live_database: Database
) -> None:
    office.put(KEY, 640)
    by_hand = text("UPDATE configuration SET value = '700', version = version + 1")
    live_database.transact(lambda connection: connection.execute(by_hand))
    (latest, _) = office.history(KEY).data
    assert (latest["version"], latest["value"], latest["actor"]) == (2, 700, None)


# Back


def test_a_rollback_makes_the_version_before_the_newest(office: Office) -> None:
    office.put(KEY, 640, active=False)
    office.put(KEY, 650)
    answer = office.roll_back(KEY)
    assert answer.status == 200
    assert (answer.data["value"], answer.data["active"], answer.data["version"]) == (640, False, 3)
    assert configuration.value(KEY) == 500
    assert office.roll_back(KEY, {}).data["value"] == 650, "which takes that back"


def test_a_rollback_to_any_version(office: Office) -> None:
    for value in (640, 650, 660):
        office.put(KEY, value)
    answer = office.roll_back(KEY, {"version": 1})
    assert (answer.data["value"], answer.data["version"]) == (640, 4)
    assert configuration.value(KEY) == 640


@pytest.mark.parametrize("content", [None, {"version": 0}])
def test_before_the_first_version_there_was_the_default(office: Office, content: Any) -> None:
    office.put(KEY, 640)
    answer = office.roll_back(KEY, content)
    assert (answer.data["value"], answer.data["active"], answer.data["version"]) == (640, False, 2)
    assert configuration.value(KEY) == 500


def test_what_never_was_cannot_come_back(office: Office) -> None:
    for content in (None, {"version": 0}):
        refused(office.roll_back(KEY, content), 409, "CONFLICT")
    refused(office.roll_back(KEY, {"version": 1}), 404, "NOT_FOUND")
    office.put(KEY, 640)
    refused(office.roll_back(KEY, {"version": 2}), 404, "NOT_FOUND")
    assert office.shown(KEY)["version"] == 1


@pytest.mark.parametrize("version", [-1, "1", 1.5, True, 2**31, [1]])
def test_a_version_is_a_whole_number(office: Office, version: Any) -> None:
    (detail,) = refused(office.roll_back(KEY, {"version": version}), 400, "VALIDATION_ERROR")
    assert detail["field"] == "version"


def test_what_is_not_allowed_any_more_does_not_come_back(
    office: Office, live_database: Database
) -> None:
    by_hand = text("INSERT INTO configuration (key, value) VALUES ('IMAGE_MAX_WIDTH', '100000')")
    live_database.transact(lambda connection: connection.execute(by_hand))
    office.put(KEY, 640)
    (detail,) = refused(office.roll_back(KEY), 422, "BUSINESS_RULE")
    assert detail == {"field": "value", "message": "must be from 16 to 4096"}
    assert office.shown(KEY)["version"] == 2


def test_a_rollback_that_is_sent_twice_is_done_once(office: Office) -> None:
    for value in (640, 650):
        office.put(KEY, value)
    first = office.roll_back(KEY, name="a")
    again = office.roll_back(KEY, name="a")
    assert (again.status, again.data) == (200, first.data)
    assert again.headers["idempotency-replayed"] == "true"
    assert office.shown(KEY)["version"] == 3
    refused(office.roll_back(KEY, {"version": 1}, name="a"), 409, "IDEMPOTENCY_KEY_REUSED")


# At once


def put(database: Database, value: int) -> int:
    return setting.put(database, KEY, value, active=True, actor=BOSS.id).version


@pytest.mark.parametrize("before", [0, 1])
def test_each_of_many_at_once_has_a_version_of_its_own(
    office: Office, database_url: str, before: int
) -> None:
    for _ in range(before):
        office.put(KEY, 600)
    works = [lambda database, value=value: put(database, value) for value in range(100, 140)]
    versions = race(database_url, works)
    assert sorted(versions) == list(range(before + 1, before + 41))
    last = office.shown(KEY)
    assert last["version"] == before + 40
    assert last["value"] == 100 + versions.index(before + 40)
    assert (
        len({past["version"] for past in office.history(KEY, "pageSize=100").data}) == before + 40
    )


def test_many_rollbacks_at_once_go_back_one_step_each_or_say_no(
    office: Office, database_url: str
) -> None:
    for value in (640, 650):
        office.put(KEY, value)

    def roll_back(database: Database) -> str:
        request = IdempotentRequest(scope="test", key=None, digest=b"")
        setting.roll_back(request, database, KEY, None, actor=BOSS.id)
        return "done"

    came = outcomes(database_url, [roll_back] * 20)

    assert set(came) <= {"done", "CONFLICT"}
    versions = [past["version"] for past in office.history(KEY, "pageSize=100").data]
    assert versions == list(range(2 + came["done"], 0, -1))
    values = [past["value"] for past in office.history(KEY, "pageSize=100").data]
    assert values[::-1] == [(640, 650)[place % 2] for place in range(len(values))]


def test_puts_and_rollbacks_at_once_repeat_no_version(office: Office, database_url: str) -> None:
    office.put(KEY, 640)

    def roll_back(database: Database) -> str:
        request = IdempotentRequest(scope="test", key=None, digest=b"")
        setting.roll_back(request, database, KEY, 1, actor=BOSS.id)
        return "done"

    def set_it(database: Database) -> str:
        put(database, 700)
        return "done"

    assert outcomes(database_url, [roll_back, set_it] * 10) == Counter(done=20)
    history = office.history(KEY, "pageSize=100").data
    assert [past["version"] for past in history] == list(range(21, 0, -1))


# When it breaks


@pytest.mark.parametrize("saved", [True, False])
def test_what_may_have_been_saved_is_looked_at_anew(
    office: Office, live_database: Database, environment: pytest.MonkeyPatch, saved: bool
) -> None:
    assert configuration.value(KEY) == 500
    with lost_commit(live_database, environment, saved=saved):
        assert office.put(KEY, 640).status == 503
    assert configuration.value(KEY) == (640 if saved else 500)


def test_with_the_cache_down_it_is_set_all_the_same(
    office: Office, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("CACHE_URL", "redis://127.0.0.1:1/0")
    assert configuration.value(KEY) == 500
    assert office.put(KEY, 640).status == 200
    assert configuration.value(KEY) == 640


def test_another_environment_finds_it_too(office: Office) -> None:
    office.put(KEY, 640)
    assert configuration.value(KEY) == 640

    def load() -> Any:
        raise AssertionError("it is in Valkey")

    found = TwoLevels().get("configuration", "active", load)
    assert found == json.loads('{"IMAGE_MAX_WIDTH": 640}')
