"""PUT /api/v1/devices: whose a phone is."""

import base64
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fieldgate.db.engine import Database
from push import register_device
from push.device_tokens import decrypt_token, hash_token
from tests.support.database import count_statements
from tests.support.gateway import call, signed_in
from tests.support.handsets import TOKEN, Handset
from tests.support.log import Log
from tests.support.one_time_codes import change, rows

CHANGES = (
    "SELECT action, actor, request_id, changed, before, after FROM change_log"
    " WHERE entity = 'devices' ORDER BY id"
)


def device(database: Database) -> dict[str, Any]:
    (found,) = rows(database, "SELECT * FROM devices")
    return found


def test_a_device_is_the_sessions_with_its_token_encrypted(
    live_database: Database, grower: Handset
) -> None:
    answer = grower.register(appVersion="1.4.2 (77)")

    assert (answer.status, list(answer.data)) == (200, ["deviceId"])
    stored = device(live_database)
    assert answer.data["deviceId"] == str(stored["id"])
    assert (stored["user_id"], stored["session_id"]) == (grower.user_id, grower.session_id)
    assert (stored["platform"], stored["kind"], stored["app_version"]) == (
        "android",
        "token",
        "1.4.2 (77)",
    )
    assert stored["token_hash"] == hash_token(TOKEN)
    assert decrypt_token(stored["token"]) == TOKEN
    assert stored["disabled_at"] is None


@pytest.mark.parametrize(
    "fields",
    [
        {"platform": "ios"},
        {"platform": "web", "kind": "fid"},
        {"kind": "token", "appVersion": None},
        {"appVersion": "версия 2 — ऐप 🌽"},
        {"token": "!"},
        {"token": "~" * 4096},
    ],
)
def test_what_apps_register_is_taken(grower: Handset, fields: dict[str, Any]) -> None:
    assert grower.register(**fields).status == 200

    (shown,) = grower.devices()
    assert {name: shown[name] for name in fields if name != "token"} == {
        name: value for name, value in fields.items() if name != "token"
    }


def test_again_writes_nothing_but_that_it_was_seen(
    live_database: Database, grower: Handset
) -> None:
    device_id = grower.add()
    change(live_database, "UPDATE devices SET last_seen_at = now() - interval '3 days'")
    before, recorded = device(live_database), rows(live_database, CHANGES)

    assert grower.add() == device_id

    after = device(live_database)
    assert after.pop("last_seen_at") > before.pop("last_seen_at")
    assert after == before
    assert rows(live_database, CHANGES) == recorded


def test_again_tells_what_the_app_is_now(live_database: Database, grower: Handset) -> None:
    device_id = grower.add(appVersion="1.0")

    assert grower.add(appVersion="2.0", kind="fid", platform="ios") == device_id

    stored = device(live_database)
    assert (stored["app_version"], stored["kind"], stored["platform"]) == ("2.0", "fid", "ios")


def test_what_the_provider_called_gone_is_enabled_again_and_on_record(
    live_database: Database, grower: Handset
) -> None:
    device_id = grower.add()
    gone = "UPDATE devices SET disabled_at = now(), disabled_reason = 'unregistered'"
    change(live_database, gone)

    answer = grower.register()

    assert answer.data["deviceId"] == device_id
    assert [shown["state"] for shown in grower.devices()] == ["active"]
    last = rows(live_database, CHANGES)[-1]
    assert last["actor"] == str(grower.user_id)
    assert last["request_id"] == answer.headers["x-request-id"]
    assert {"disabled_at", "disabled_reason"} <= set(last["changed"])


def test_it_is_the_newest_sessions_of_its_owner(live_database: Database, grower: Handset) -> None:
    device_id = grower.add()
    again = grower.sign_in_again()

    assert again.add() == device_id
    assert device(live_database)["session_id"] == again.session_id


def test_a_token_moves_to_who_signs_in_on_the_phone_and_back(
    live_database: Database, grower: Handset, stranger: Handset
) -> None:
    device_id = grower.add()
    change(live_database, "UPDATE devices SET created_at = now() - interval '9 days'")

    assert stranger.add() == device_id
    assert grower.devices() == []
    # Since when somebody else had it is theirs to know.
    (row,) = rows(live_database, "SELECT last_seen_at - created_at AS known FROM devices")
    assert row["known"] < timedelta(minutes=1)

    assert grower.add() == device_id
    assert stranger.devices() == []
    assert device(live_database)["session_id"] == grower.session_id


def test_who_had_it_and_who_has_it_is_on_record(
    live_database: Database, grower: Handset, stranger: Handset
) -> None:
    grower.add()
    answer = stranger.register()

    added, moved = rows(live_database, CHANGES)
    assert (added["action"], added["actor"]) == ("insert", str(grower.user_id))
    assert (moved["action"], moved["actor"]) == ("update", str(stranger.user_id))
    assert moved["request_id"] == answer.headers["x-request-id"]
    assert moved["before"]["user_id"] == str(grower.user_id)
    assert moved["after"]["user_id"] == str(stranger.user_id)
    assert {moved["after"]["token"], moved["after"]["token_hash"]} == {"***"}


def test_neither_log_nor_answers_nor_any_table_hold_the_token(
    live_database: Database, grower: Handset, stranger: Handset, log: Log
) -> None:
    answers = [
        grower.register(),
        stranger.register(),
        stranger.register(platform="phone"),
        grower.register(f"{TOKEN}\n"),
        grower.register({"value": TOKEN}),
        grower.register([TOKEN]),
        grower.register("x", **{TOKEN: 1}),
    ]
    assert [answer.status for answer in answers] == [200, 200, 400, 400, 400, 400, 400]

    tables = rows(
        live_database,
        "SELECT table_name AS name FROM information_schema.tables"
        " WHERE table_schema = 'public' AND table_type = 'BASE TABLE'",
    )
    assert {"devices", "change_log", "outbox"} <= {table["name"] for table in tables}
    contents = [
        row["content"]
        for table in tables
        for row in rows(live_database, f'SELECT t::text AS content FROM "{table["name"]}" AS t')
    ]
    written = [TOKEN, TOKEN.encode().hex(), base64.b64encode(TOKEN.encode()).decode()]
    for secret in written:
        assert secret not in log.text
        assert not [content for content in contents if secret in content]
    for answer in answers[:-1]:  # the last one's name of a field is the client's own
        assert TOKEN not in answer.body.decode()


def test_of_more_than_twenty_the_one_not_seen_for_longest_goes(
    live_database: Database, grower: Handset, stranger: Handset
) -> None:
    others = stranger.add("another-token")
    ids = [grower.add(f"token-{number}") for number in range(20)]
    forgotten = ids[7]
    change(
        live_database,
        "UPDATE devices SET last_seen_at = now() - interval '1 hour' WHERE id = :id",
        id=forgotten,
    )
    assert len(grower.devices()) == 20

    newest = grower.add("one-more")

    left = {shown["id"] for shown in grower.devices("pageSize=100")}
    assert left == {*ids, newest} - {forgotten}
    assert [shown["id"] for shown in stranger.devices()] == [others]
    assert rows(live_database, CHANGES)[-1]["before"]["id"] == forgotten


def test_whoever_registers_stays_though_others_were_seen_in_the_future(
    live_database: Database, grower: Handset
) -> None:
    """A server's clock that was ahead."""
    for number in range(20):
        grower.add(f"token-{number}")
    change(live_database, "UPDATE devices SET last_seen_at = now() + interval '1 hour'")

    newest = grower.add("one-more")

    left = {shown["id"] for shown in grower.devices("pageSize=100")}
    assert newest in left
    assert len(left) == 20


@pytest.mark.parametrize(
    "end",
    [
        "UPDATE sessions SET ended_at = now(), end_reason = 'logged_out'",
        "UPDATE sessions SET expires_at = now()",
        "UPDATE users SET status = 'blocked'",
        "DELETE FROM sessions",
        "DELETE FROM users",
    ],
)
def test_a_session_that_is_over_gets_no_device(
    live_database: Database, grower: Handset, end: str
) -> None:
    """The authorizer let it by a moment ago."""
    change(live_database, end)

    answer = grower.register()

    assert (answer.status, answer.error["code"]) == (401, "UNAUTHORIZED")
    assert rows(live_database, "SELECT * FROM devices") == []


def test_a_session_that_is_over_takes_no_device_of_anybody(
    live_database: Database, grower: Handset, stranger: Handset
) -> None:
    stranger.add()
    before = device(live_database)
    change(live_database, "UPDATE sessions SET expires_at = now()")

    assert grower.register().status == 401
    assert device(live_database) == before


def test_anothers_session_is_no_place_for_a_device(
    live_database: Database, grower: Handset, stranger: Handset
) -> None:
    context = signed_in(grower.user_id, session_id=stranger.session_id)
    content = {"token": TOKEN, "platform": "android"}
    handler = register_device.handler

    answer = call(handler, "PUT", "/api/v1/devices", content=content, authorizer=context)

    assert answer.status == 401
    assert rows(live_database, "SELECT * FROM devices") == []


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"token": ...}, "token"),
        ({"token": None}, "token"),
        ({"token": ""}, "token"),
        ({"token": 5}, "token"),
        ({"token": "x" * 4097}, "token"),
        ({"token": "with space"}, "token"),
        ({"token": "line\n"}, "token"),
        ({"token": "nul\x00"}, "token"),
        ({"token": "tøken"}, "token"),
        ({"token": "\ud800"}, "token"),
        ({"platform": ...}, "platform"),
        ({"platform": None}, "platform"),
        ({"platform": "Android"}, "platform"),
        ({"platform": "windows"}, "platform"),
        ({"kind": None}, "kind"),
        ({"kind": "apns"}, "kind"),
        ({"appVersion": ""}, "appVersion"),
        ({"appVersion": "x" * 51}, "appVersion"),
        ({"appVersion": 2}, "appVersion"),
        ({"appVersion": "1\x00"}, "appVersion"),
        ({"appVersion": "\ud800"}, "appVersion"),
        ({"appVersion": "\u202e1"}, "appVersion"),
        ({"userId": str(uuid4())}, "userId"),
        ({"sessionId": str(uuid4())}, "sessionId"),
        ({"deviceId": str(uuid4())}, "deviceId"),
    ],
)
def test_what_is_no_device_is_refused(
    live_database: Database, grower: Handset, fields: dict[str, Any], field: str
) -> None:
    answer = grower.register(**fields)

    assert (answer.status, answer.error["code"]) == (400, "VALIDATION_ERROR")
    assert [detail["field"] for detail in answer.error["details"]] == [field]
    assert rows(live_database, "SELECT * FROM devices") == []


@pytest.mark.parametrize(
    ("body", "status"),
    [("", 400), ("{", 400), ("[]", 400), ("null", 400), ('"token"', 400), ("x" * 70_000, 413)],
)
def test_what_is_no_request_is_refused(grower: Handset, body: str, status: int) -> None:
    assert grower.ask(register_device.handler, "PUT", "/devices", body=body).status == status


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    content=st.fixed_dictionaries(
        {"token": st.text(max_size=30) | st.from_regex(r"\A[!-~]{1,30}\Z") | st.integers()},
        optional={
            "platform": st.sampled_from(["android", "ios", "web"]) | st.text(max_size=5),
            "appVersion": st.none() | st.text(max_size=60) | st.floats(allow_nan=False),
            "kind": st.sampled_from(["token", "fid"]) | st.none() | st.text(max_size=5),
        },
    )
)
def test_anything_is_taken_or_refused(grower: Handset, content: dict[str, Any]) -> None:
    answer = grower.register(**({"platform": ...} | content))
    # 429: so many requests a minute are more than anybody may make.
    assert answer.status in {200, 400, 429}


def test_again_costs_two_round_trips(live_database: Database, grower: Handset) -> None:
    """The statement and its commit; a new device costs one more, for those too many."""
    with count_statements(live_database) as first:
        grower.add()
    with count_statements(live_database) as again:
        grower.add()

    assert (first.round_trips, again.round_trips, again.commits) == (3, 2, 1)


def test_without_a_token_the_database_is_not_asked(live_database: Database) -> None:
    content = {"token": TOKEN, "platform": "android"}
    with count_statements(live_database) as traffic:
        answer = call(register_device.handler, "PUT", "/api/v1/devices", content=content)

    assert (answer.status, traffic.round_trips) == (401, 0)
