"""GET /users and GET /users/{id}: what admins see of people, and nobody else does."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from fieldgate.db.engine import Database
from identity import get_user, list_users, set_user_roles, set_user_status
from tests.support.database import count_statements
from tests.support.gateway import Answer, Handler, call, signed_in
from tests.support.people import Person, begin_session, register

BASE = "/api/v1/users"
GROWER = Person("", "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$AAAA", roles=("farmer", "agent"))
BOSS = Person("", None, phone="+254711000008", email=None, roles=("admin",))
READER = ["users:read"]
ROUTES: dict[str, tuple[Handler, str, str, Any]] = {
    "list": (list_users.handler, "GET", "", None),
    "get": (get_user.handler, "GET", f"/{GROWER.id}", None),
    "roles": (set_user_roles.handler, "PUT", f"/{GROWER.id}/roles", {"roles": ["admin"]}),
    "status": (set_user_status.handler, "PUT", f"/{GROWER.id}/status", {"status": "blocked"}),
}


@pytest.fixture
def grower(live_database: Database) -> Person:
    return register(live_database, GROWER)


def get(user_id: object) -> Answer:
    context = signed_in(uuid4(), permissions=READER)
    return call(get_user.handler, "GET", f"{BASE}/{user_id}", authorizer=context)


def listed(query: str = "") -> Answer:
    context = signed_in(uuid4(), permissions=READER)
    return call(list_users.handler, "GET", BASE, query=query, authorizer=context)


def everything(database: Database) -> Any:
    query = text("SELECT (SELECT json_agg(u) FROM users u), (SELECT json_agg(r) FROM user_roles r)")
    return database.read(lambda connection: tuple(connection.execute(query).one()))


def test_a_user_is_shown_without_the_password(grower: Person) -> None:
    answer = get(grower.id)

    assert answer.status == 200
    data = answer.data
    assert data.pop("createdAt").endswith("Z")
    assert data == {
        "id": str(grower.id),
        "name": "Grower One",
        "phone": "+254711000009",
        "email": "Grower@Farm.Example.org",
        "status": "active",
        "roles": ["agent", "farmer"],
        "permissions": ["media:read", "media:write", "stock:read", "stock:write"],
        "twoFactorEnabled": False,
    }


def test_a_page_is_newest_first_and_counted(live_database: Database) -> None:
    people = [
        register(live_database, replace(GROWER, id=uuid4(), phone=f"+25471100000{n}", email=None))
        for n in range(5)
    ]
    newest_first = [str(person.id) for person in reversed(people)]

    pages = [listed(f"page={number}&pageSize=2") for number in (1, 2, 3)]

    assert [[user["id"] for user in page.data] for page in pages] == [
        newest_first[:2],
        newest_first[2:4],
        newest_first[4:],
    ]
    assert pages[0].json()["pagination"] == {
        "page": 1,
        "pageSize": 2,
        "total": 5,
        "totalPages": 3,
        "hasNextPage": True,
        "hasPreviousPage": False,
    }
    assert pages[0].data[0] == get(newest_first[0]).data


def test_a_page_past_the_end_is_empty_and_still_counted(grower: Person) -> None:
    answer = listed("page=7")

    assert (answer.status, answer.data) == (200, [])
    assert answer.json()["pagination"]["total"] == 1


def test_a_page_can_be_of_one_role_or_status(live_database: Database, grower: Person) -> None:
    other = replace(GROWER, id=uuid4(), phone=None, email="x@y.org", roles=(), status="blocked")
    register(live_database, other)

    for query, found in {
        "role=agent": [grower.id],
        "role=sponsor": [],
        "status=blocked": [other.id],
        "status=active&role=farmer": [grower.id],
        "status=blocked&role=farmer": [],
    }.items():
        answer = listed(query)
        assert [user["id"] for user in answer.data] == [str(one) for one in found]
        assert answer.json()["pagination"]["total"] == len(found)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("page=0", "page"),
        ("pageSize=101", "pageSize"),
        ("page=x", "page"),
        ("role=%00", "role"),
        ("role=' OR 1=1", "role"),
        ("status=deleted", "status"),
        ("sort=phone", "sort"),
    ],
)
def test_a_query_of_another_shape_is_invalid(grower: Person, query: str, field: str) -> None:
    answer = listed(query)

    assert (answer.status, answer.error["code"]) == (400, "VALIDATION_ERROR")
    assert [detail["field"] for detail in answer.error["details"]] == [field]


def test_reading_costs_one_round_trip(live_database: Database, grower: Person) -> None:
    reads: list[Callable[[], Answer]] = [listed, lambda: get(grower.id)]
    for read in reads:
        with count_statements(live_database) as traffic:
            assert read().status == 200
        assert (traffic.round_trips, traffic.commits) == (1, 0)


# Whose business it is


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("whose", [GROWER.id, uuid4()], ids=["one's own", "another's"])
def test_without_the_permission_it_is_a_403_that_tells_nothing(
    live_database: Database, grower: Person, route: str, whose: Any
) -> None:
    handler, method, path, content = ROUTES[route]
    before = everything(live_database)
    held = ["media:read", "media:read_all", "users:write" if method == "GET" else "users:read"]
    context = signed_in(whose, roles=["admin"], permissions=held)

    answer = call(handler, method, BASE + path, content=content, authorizer=context)
    unknown = call(
        handler,
        method,
        (BASE + path).replace(str(GROWER.id), str(uuid4())),
        content=content,
        authorizer=context,
    )

    assert (answer.status, answer.error["code"]) == (403, "FORBIDDEN")
    assert answer.error == unknown.error
    assert everything(live_database) == before


@pytest.mark.parametrize("route", ROUTES)
def test_without_a_token_it_is_a_401(grower: Person, route: str) -> None:
    handler, method, path, content = ROUTES[route]

    assert call(handler, method, BASE + path, content=content).status == 401


@pytest.mark.parametrize("route", ["get", "roles", "status"])
def test_who_is_not_there_is_a_404(live_database: Database, route: str) -> None:
    handler, method, path, content = ROUTES[route]
    path = path.replace(str(GROWER.id), str(uuid4()))
    context = begin_session(live_database, register(live_database, BOSS)).context()

    answer = call(handler, method, BASE + path, content=content, authorizer=context)
    assert (answer.status, answer.error["code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize("route", ["get", "roles", "status"])
@pytest.mark.parametrize("user_id", ["1", "null", "me", "%00", "..%2F..", "' OR 1"])
def test_an_id_that_is_none_is_refused(grower: Person, route: str, user_id: str) -> None:
    handler, method, path, content = ROUTES[route]
    path = path.replace(str(GROWER.id), user_id)
    context = signed_in(uuid4(), permissions=["users:read", "users:write"])

    answer = call(handler, method, BASE + path, content=content, authorizer=context)
    if "%2F" in user_id:  # the gateway decodes it, and then it is another address
        assert answer.status == 404
    else:
        assert (answer.status, answer.error["details"][0]["field"]) == (400, "id")
