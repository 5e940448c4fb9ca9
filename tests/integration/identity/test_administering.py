"""PUT /users/{id}/roles and /status: what admins change, and what stays."""

from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text

from fieldgate.db.engine import Database
from fieldgate.db.tables.all import change_log, outbox, sessions
from identity import administering, refresh_tokens, set_user_roles, set_user_status
from tests.support.database import count_statements
from tests.support.gateway import Answer, call, signed_in
from tests.support.one_time_codes import change
from tests.support.people import Person, Phone, begin_session, register
from tests.support.racing import outcomes

GROWER = Person("", None)
BOSS = Person("", None, phone="+254711000008", email=None, roles=("admin",))
SECOND = Person("", None, phone="+254711000007", email=None, roles=("admin", "agent"))


@pytest.fixture
def grower(live_database: Database) -> Person:
    return register(live_database, GROWER)


@pytest.fixture
def boss(live_database: Database) -> Phone:
    return begin_session(live_database, register(live_database, BOSS))


def put(boss: Phone, user_id: UUID, what: str, content: Any) -> Answer:
    handler = {"roles": set_user_roles.handler, "status": set_user_status.handler}[what]
    path = f"/api/v1/users/{user_id}/{what}"
    return call(handler, "PUT", path, content=content, authorizer=boss.context())


def set_roles(boss: Phone, user_id: UUID, *roles: str) -> Answer:
    return put(boss, user_id, "roles", {"roles": roles})


def set_status(boss: Phone, user_id: UUID, status: str) -> Answer:
    return put(boss, user_id, "status", {"status": status})


def changes(database: Database, since: int = 0) -> list[dict[str, Any]]:
    query = (
        select(change_log, outbox.c.id.label("event"))
        .outerjoin(outbox, outbox.c.change_id == change_log.c.id)
        .where(change_log.c.id > since)
        .order_by(change_log.c.id)
    )
    rows = database.read(lambda connection: connection.execute(query).mappings().all())
    return [dict(row) for row in rows]


def last_change(database: Database) -> int:
    return max(int(row["id"]) for row in changes(database))


# Roles


def test_the_roles_become_exactly_these(
    live_database: Database, boss: Phone, grower: Person
) -> None:
    answer = set_roles(boss, grower.id, "warehouse_manager", "farmer")

    assert answer.status == 200
    assert answer.data["id"] == str(grower.id)
    assert answer.data["roles"] == ["farmer", "warehouse_manager"]
    assert answer.data["permissions"] == [
        "media:read",
        "media:write",
        "stock:alerts",
        "stock:approve",
        "stock:read",
        "stock:write",
    ]
    assert set_roles(boss, grower.id).data["roles"] == []
    assert set_roles(boss, grower.id, "admin", "admin").data["roles"] == ["admin"]


def test_only_what_changes_is_touched_and_it_is_on_record(
    live_database: Database, boss: Phone, grower: Person
) -> None:
    set_roles(boss, grower.id, "agent", "farmer")
    before = last_change(live_database)

    answer = set_roles(boss, grower.id, "sponsor", "warehouse_manager", "agent")

    rows = changes(live_database, before)
    of_roles = {(row["entity_id"], row["action"]) for row in rows if row["entity"] == "user_roles"}
    assert of_roles == {
        (f"{grower.id}:farmer", "delete"),
        (f"{grower.id}:sponsor", "insert"),
        (f"{grower.id}:warehouse_manager", "insert"),
    }
    assert {row["actor"] for row in rows} == {str(BOSS.id)}
    assert {row["request_id"] for row in rows} == {answer.headers["x-request-id"]}


def test_a_change_of_roles_is_one_event_for_the_users_phones(
    live_database: Database, boss: Phone, grower: Person
) -> None:
    before = last_change(live_database)

    set_roles(boss, grower.id, "sponsor", "warehouse_manager", "farmer")

    events = [row for row in changes(live_database, before) if row["entity"] == "users"]
    (event,) = events
    assert event["event"] is not None
    assert (event["entity_id"], event["changed"]) == (str(grower.id), ["permission_version"])


def test_the_same_roles_again_change_nothing(
    live_database: Database, boss: Phone, grower: Person
) -> None:
    first = set_roles(boss, grower.id, "farmer", "sponsor")
    before = last_change(live_database)

    again = set_roles(boss, grower.id, "sponsor", "farmer", "sponsor")

    assert (again.status, again.data) == (200, first.data)
    assert changes(live_database, before) == []


def test_it_takes_effect_with_the_next_request(
    live_database: Database, boss: Phone, grower: Person
) -> None:
    phone = begin_session(live_database, grower)
    other = begin_session(live_database, replace(GROWER))
    assert set_roles(phone, grower.id, "admin").status == 403

    set_roles(boss, grower.id, "admin")
    assert set_roles(phone, grower.id, "admin", "farmer").status == 200
    assert "users:write" in other.context()["claims"]["permissions"]

    set_roles(boss, grower.id, "farmer")
    assert set_roles(phone, grower.id, "admin").status == 403


@pytest.mark.parametrize(
    ("roles", "fields"),
    [
        (["farmer", "god"], ["roles.1"]),
        (["ADMIN", "farmer", ""], ["roles.0", "roles.2"]),
        (["\0"], ["roles.0"]),
        (["admin'--"], ["roles.0"]),
        (["\ud800"], ["roles.0"]),
        (["farmer"] * 21, ["roles"]),
        ("admin", ["roles"]),
        ({"admin": True}, ["roles"]),
        ([["admin"]], ["roles.0"]),
        ([None], ["roles.0"]),
        (None, ["roles"]),
    ],
)
def test_what_is_no_role_is_named(
    live_database: Database, boss: Phone, grower: Person, roles: Any, fields: list[str]
) -> None:
    before = last_change(live_database)

    answer = put(boss, grower.id, "roles", {"roles": roles})

    assert (answer.status, answer.error["code"]) == (400, "VALIDATION_ERROR")
    assert [detail["field"] for detail in answer.error["details"]] == fields
    assert changes(live_database, before) == []


@pytest.mark.parametrize("more", [{"permissions": ["users:write"]}, {"status": "active"}])
def test_nothing_else_comes_in_with_the_roles(
    boss: Phone, grower: Person, more: dict[str, Any]
) -> None:
    answer = put(boss, grower.id, "roles", {"roles": ["farmer"]} | more)

    assert answer.status == 400


# Status


def test_who_is_blocked_is_out_everywhere_and_may_come_back(
    live_database: Database, boss: Phone, grower: Person
) -> None:
    phones = [begin_session(live_database, grower, profile) for profile in ("web", "mobile")]

    blocked = set_status(boss, grower.id, "blocked")

    assert (blocked.status, blocked.data["status"]) == (200, "blocked")
    assert [phone.is_refused for phone in phones] == [True, True]
    reasons = select(sessions.c.end_reason).where(sessions.c.user_id == grower.id)
    assert live_database.read(lambda connection: connection.scalars(reasons).all()) == [
        "blocked",
        "blocked",
    ]

    assert set_status(boss, grower.id, "active").data["status"] == "active"
    for phone in phones:
        assert phone.is_refused
        content = {"refreshToken": phone.refresh_token.text}
        refused = call(refresh_tokens.handler, "POST", "/api/v1/auth/refresh", content=content)
        assert refused.status == 401
    assert not begin_session(live_database, grower).is_refused


def test_the_same_status_again_changes_nothing(
    live_database: Database, boss: Phone, grower: Person
) -> None:
    phone = begin_session(live_database, grower)
    before = last_change(live_database)

    assert set_status(boss, grower.id, "active").status == 200

    assert changes(live_database, before) == []
    assert not phone.is_refused


@pytest.mark.parametrize("status", ["pending", "BLOCKED", "", None, True, ["active"]])
def test_what_is_no_status_is_refused(boss: Phone, grower: Person, status: Any) -> None:
    answer = put(boss, grower.id, "status", {"status": status})

    assert (answer.status, answer.error["details"][0]["field"]) == (400, "status")


# The last admin


def test_the_last_admin_stays_one(live_database: Database, boss: Phone) -> None:
    register(live_database, replace(SECOND, status="blocked"))

    for answer in (set_roles(boss, BOSS.id, "farmer"), set_status(boss, BOSS.id, "blocked")):
        assert (answer.status, answer.error["code"]) == (422, "LAST_ADMIN")
    assert set_roles(boss, BOSS.id, "admin", "farmer").status == 200
    # One who is blocked is not what keeps the system in hand.
    assert set_roles(boss, SECOND.id, "agent").status == 200


def test_one_of_two_admins_may_go(live_database: Database, boss: Phone) -> None:
    register(live_database, SECOND)

    assert set_status(boss, SECOND.id, "blocked").status == 200
    assert set_status(boss, SECOND.id, "active").status == 200
    assert set_roles(boss, BOSS.id).status == 200
    assert set_roles(boss, BOSS.id, "admin").status == 403


def test_two_admins_who_remove_each_other_at_once_leave_one(
    live_database: Database, database_url: str
) -> None:
    sessions_of = {
        person.id: begin_session(live_database, register(live_database, person)).session_id
        for person in (BOSS, SECOND)
    }
    turns = iter([(BOSS, SECOND), (SECOND, BOSS)] * 5)

    def remove_the_other(database: Database) -> str:
        actor, other = next(turns)
        by: Any = {"actor": actor.id, "session_id": sessions_of[actor.id]}
        if actor is BOSS:
            administering.set_roles(database, other.id, ["agent"], **by)
        else:
            administering.set_status(database, other.id, "blocked", **by)
        return "removed"

    # Who was removed removes nobody; the one who is left does so again and changes nothing.
    assert outcomes(database_url, [remove_the_other] * 10) == {"removed": 5, "FORBIDDEN": 5}

    left = text(
        "SELECT count(*) FROM users JOIN user_roles ON user_id = id"
        " WHERE role = 'admin' AND status = 'active'"
    )
    assert live_database.read(lambda connection: connection.scalar(left)) == 1


# Admins who were ones half a minute ago


def late(boss: Phone) -> dict[str, Any]:
    """What an authorizer says that has not heard of the change yet."""
    return signed_in(BOSS.id, permissions=["users:write"], session_id=boss.session_id)


@pytest.mark.parametrize(
    "meanwhile",
    [
        "UPDATE users SET status = 'blocked' WHERE id = :boss",
        "UPDATE user_roles SET role = 'agent' WHERE user_id = :boss",
        "DELETE FROM role_permissions WHERE role = 'admin' AND permission = 'users:write'",
        "UPDATE sessions SET ended_at = now(), end_reason = 'logged_out'",
        "UPDATE sessions SET expires_at = now()",
        "DELETE FROM sessions",
        "UPDATE sessions SET user_id = :second",
        "DELETE FROM users WHERE id = :boss",
    ],
)
def test_who_may_not_any_more_changes_nothing_though_the_authorizer_let_them_by(
    live_database: Database, boss: Phone, grower: Person, meanwhile: str
) -> None:
    register(live_database, SECOND)
    who = {"boss": BOSS.id, "second": SECOND.id}
    values = {name: value for name, value in who.items() if f":{name}" in meanwhile}
    change(live_database, meanwhile, **values)
    before = last_change(live_database)

    for user_id in (BOSS.id, SECOND.id, grower.id, uuid4()):
        for handler, what, content in (
            (set_user_roles.handler, "roles", {"roles": ["admin"]}),
            (set_user_roles.handler, "roles", {"roles": []}),
            (set_user_status.handler, "status", {"status": "active"}),
            (set_user_status.handler, "status", {"status": "blocked"}),
        ):
            path = f"/api/v1/users/{user_id}/{what}"
            answer = call(handler, "PUT", path, content=content, authorizer=late(boss))
            assert (answer.status, answer.error["code"]) == (403, "FORBIDDEN")

    assert changes(live_database, before) == []


def test_a_right_that_is_new_to_the_authorizer_needs_its_word_too(
    boss: Phone, grower: Person
) -> None:
    unheard = signed_in(BOSS.id, session_id=boss.session_id)
    path = f"/api/v1/users/{grower.id}/status"
    content = {"status": "blocked"}
    answer = call(set_user_status.handler, "PUT", path, content=content, authorizer=unheard)
    assert answer.status == 403


def test_what_it_costs(live_database: Database, boss: Phone, grower: Person) -> None:
    boss.context()
    with count_statements(live_database) as traffic:
        set_roles(boss, grower.id, "farmer")
    assert (traffic.round_trips, traffic.commits) == (7, 1)
    with count_statements(live_database) as traffic:
        set_status(boss, grower.id, "blocked")
    assert (traffic.round_trips, traffic.commits) == (7, 1)


def test_who_is_unknown_is_a_404_and_nothing_happens(live_database: Database, boss: Phone) -> None:
    before = last_change(live_database)

    assert set_roles(boss, uuid4(), "admin").status == 404
    assert set_status(boss, uuid4(), "blocked").status == 404

    assert changes(live_database, before) == []
