"""Who is calling: private unless said otherwise, and what each caller may do."""

import uuid
from typing import Annotated, Any

import pytest
from fastapi import Depends

from fieldgate.http import (
    ApiModel,
    Caller,
    Envelope,
    create_app,
    current_caller,
    entry_point,
    envelope,
    require,
)
from tests.support.gateway import call, signed_in
from tests.support.log import Log

USER, SESSION = uuid.uuid4(), uuid.uuid4()


class Thing(ApiModel):
    size: int


app = create_app("things", limit=None)


@app.get("/things")
async def things() -> Envelope[str]:
    return envelope("seen")


@app.post("/things")
async def make(
    thing: Thing, caller: Annotated[Caller, require("things:write")]
) -> Envelope[uuid.UUID]:
    return envelope(caller.user_id)


@app.get("/me")
async def me(caller: Annotated[Caller, Depends(current_caller)]) -> Envelope[dict[str, Any]]:
    return envelope(caller.model_dump(mode="json"))


handler = entry_point(app)


@pytest.fixture(autouse=True)
def deployed(environment: pytest.MonkeyPatch, log: Log) -> None:
    """Sign and verify with the test's keys."""


def test_a_route_is_private_unless_its_app_is_public() -> None:
    answer = call(handler, "GET", "/things")

    assert (answer.status, answer.error["code"]) == (401, "UNAUTHORIZED")


def test_a_public_app_asks_for_no_token() -> None:
    public = create_app("public", limit=None, public=True)

    @public.get("/things")
    async def things() -> Envelope[str]:
        return envelope("seen")

    assert call(entry_point(public), "GET", "/things").data == "seen"


def test_a_signed_in_caller_gets_in_with_roles_and_permissions() -> None:
    context = signed_in(USER, roles=["agent"], permissions=["media:read"], session_id=SESSION)

    assert call(handler, "GET", "/me", authorizer=context).data == {
        "user_id": str(USER),
        "session_id": str(SESSION),
        "roles": ["agent"],
        "permissions": ["media:read"],
    }


def test_a_required_permission_lets_its_holder_by() -> None:
    context = signed_in(USER, permissions=["things:write"])

    answer = call(handler, "POST", "/things", content={"size": 1}, authorizer=context)
    assert answer.data == str(USER)


@pytest.mark.parametrize("held", [[], ["things:read"], ["things:write_all"], ["THINGS:WRITE"]])
def test_without_the_required_permission_it_is_403(held: list[str]) -> None:
    context = signed_in(USER, permissions=held)

    answer = call(handler, "POST", "/things", content={"size": 1}, authorizer=context)
    assert (answer.status, answer.error["code"]) == (403, "FORBIDDEN")
    assert answer.error["message"] == "This needs the permission things:write."


@pytest.mark.parametrize("body", ["not json", '{"size": "x"}', "{}", "[" * 60_000])
def test_the_caller_is_asked_for_before_the_body_is_read(body: str) -> None:
    assert call(handler, "POST", "/things", body=body).status == 401


def test_the_permission_is_asked_for_before_the_body_is_validated() -> None:
    answer = call(handler, "POST", "/things", content={}, authorizer=signed_in(USER))

    assert answer.status == 403


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        ("UNAUTHORIZED", 401, "UNAUTHORIZED"),
        ("TOKEN_EXPIRED", 401, "TOKEN_EXPIRED"),
        ("UNAVAILABLE", 503, "UNAVAILABLE"),
        ("ANYTHING", 401, "UNAUTHORIZED"),
    ],
)
def test_what_the_authorizer_reports_is_answered_in_the_envelope(
    failure: str, status: int, code: str
) -> None:
    answer = call(handler, "GET", "/things", authorizer={"failure": failure})

    assert (answer.status, answer.error["code"]) == (status, code)


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"sub": str(USER)},
        {"sub": str(USER), "roles": [], "permissions": []},
        {"sid": "7", "sub": str(USER), "roles": [], "permissions": []},
        {"sid": None, "sub": str(USER), "roles": [], "permissions": []},
        {"sid": str(SESSION), "sub": "7", "roles": [], "permissions": []},
        {"sid": str(SESSION), "sub": None, "roles": [], "permissions": []},
        {"sid": str(SESSION), "sub": str(USER), "roles": "admin", "permissions": []},
        {"sid": str(SESSION), "sub": str(USER), "roles": [], "permissions": "things:write"},
        {"sid": str(SESSION), "sub": str(USER), "roles": [], "permissions": [1]},
        {"sid": str(SESSION), "sub": str(USER), "roles": [], "permissions": {"things:write": True}},
        {"sid": str(SESSION), "sub": str(USER), "roles": None, "permissions": None},
    ],
)
def test_claims_of_another_shape_are_no_caller(claims: dict[str, Any]) -> None:
    answer = call(handler, "GET", "/things", authorizer={"claims": claims})

    assert (answer.status, answer.error["code"]) == (401, "UNAUTHORIZED")


def test_a_token_in_the_header_is_worth_nothing_by_itself() -> None:
    headers = {"authorization": "Bearer x", "x-user-id": str(USER)}

    assert call(handler, "GET", "/things", headers=headers).status == 401


def test_an_event_whose_authorizer_is_null_has_no_caller() -> None:
    def nulled(event: dict[str, Any], context: Any) -> dict[str, Any]:
        event["requestContext"]["authorizer"] = None
        return handler(event, context)

    assert call(nulled, "GET", "/things").status == 401


def test_a_route_added_by_a_router_is_private_too() -> None:
    from fastapi import APIRouter

    router = APIRouter()

    @router.get("/routed")
    async def routed() -> Envelope[str]:
        return envelope("seen")

    private = create_app("routed", limit=None)
    private.include_router(router)

    assert call(entry_point(private), "GET", "/routed").status == 401
