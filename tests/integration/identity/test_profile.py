"""GET /api/v1/auth/me: the caller as the database knows them now."""

import uuid
from dataclasses import replace

import pytest
from sqlalchemy import delete, insert, update

from fieldgate.db.engine import Database
from fieldgate.db.tables.identity import user_roles, users
from identity import get_profile, login
from tests.support.database import count_statements
from tests.support.gateway import Answer, authorized, call, signed_in
from tests.support.people import Person, register
from tests.support.ports import free_port

GROWER = Person("", None)


def profile(user_id: uuid.UUID) -> Answer:
    return call(get_profile.handler, "GET", "/api/v1/auth/me", authorizer=signed_in(user_id))


def test_it_shows_who_is_calling(live_database: Database) -> None:
    register(live_database, GROWER)

    answer = profile(GROWER.id)

    assert answer.status == 200
    assert answer.data == {
        "id": str(GROWER.id),
        "name": "Grower One",
        "phone": "+254711000009",
        "email": "Grower@Farm.Example.org",
        "roles": ["agent"],
        "permissions": ["media:read", "media:write", "stock:read", "stock:write"],
        "twoFactorEnabled": False,
    }


def test_it_shows_the_roles_of_now_and_not_of_the_token(live_database: Database) -> None:
    register(live_database, GROWER)
    more = insert(user_roles).values(user_id=GROWER.id, role="admin")
    live_database.transact(lambda connection: connection.execute(more))

    data = profile(GROWER.id).data

    assert data["roles"] == ["admin", "agent"]
    assert data["permissions"] == sorted(set(data["permissions"]))
    assert "users:write" in data["permissions"]


def test_what_a_user_does_not_have_is_null(live_database: Database) -> None:
    register(live_database, replace(GROWER, email=None, roles=()))

    data = profile(GROWER.id).data

    assert (data["email"], data["roles"], data["permissions"]) == (None, [], [])


def test_the_token_of_a_sign_in_opens_it(live_database: Database) -> None:
    from identity.passwords import hash_password

    person = register(live_database, replace(GROWER, password_hash=hash_password("beans")))
    content = {"identifier": person.phone, "password": "beans"}
    tokens = call(login.handler, "POST", "/api/v1/auth/login", content=content).data

    context = authorized(f"{tokens['tokenType']} {tokens['accessToken']}")
    answer = call(get_profile.handler, "GET", "/api/v1/auth/me", authorizer=context)

    assert answer.data == tokens["user"]


def test_a_deleted_user_is_401_though_the_token_is_good(live_database: Database) -> None:
    register(live_database, GROWER)
    gone = delete(users).where(users.c.id == GROWER.id)
    live_database.transact(lambda connection: connection.execute(gone))

    answer = profile(GROWER.id)
    assert (answer.status, answer.error["code"]) == (401, "UNAUTHORIZED")


@pytest.mark.parametrize("status", ["blocked", "pending"])
def test_who_is_no_longer_active_is_401(live_database: Database, status: str) -> None:
    register(live_database, GROWER)
    change = update(users).where(users.c.id == GROWER.id).values(status=status)
    live_database.transact(lambda connection: connection.execute(change))

    assert profile(GROWER.id).status == 401


def test_without_a_token_the_database_is_not_asked(live_database: Database) -> None:
    with count_statements(live_database) as traffic:
        answer = call(get_profile.handler, "GET", "/api/v1/auth/me", authorizer=authorized(None))

    assert (answer.status, answer.error["code"]) == (401, "UNAUTHORIZED")
    assert traffic.round_trips == 0


def test_it_costs_one_round_trip(live_database: Database) -> None:
    register(live_database, GROWER)

    with count_statements(live_database) as traffic:
        assert profile(GROWER.id).status == 200

    assert (traffic.round_trips, traffic.commits) == (1, 0)


def test_without_a_database_it_is_503_in_the_envelope(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("DATABASE_URL", f"postgresql://app:hunter2@127.0.0.1:{free_port()}/x")

    answer = profile(GROWER.id)

    assert (answer.status, answer.error["code"]) == (503, "UNAVAILABLE")
    assert b"hunter2" not in answer.body
