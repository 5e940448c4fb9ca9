"""Apps with limits, and who asks them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request

from fieldgate.errors import Conflict, RateLimited
from fieldgate.http import (
    ApiModel,
    Caller,
    Envelope,
    client_ip,
    create_app,
    current_caller,
    entry_point,
    envelope,
    limit_identifier,
)
from tests.support.gateway import Answer, call

BURST = 10  # of the class auth, where a token comes back in 12 s
INTERVAL = 12.0


class Knock(ApiModel):
    phone: str


private = create_app("private", limit="auth")
neighbour = create_app("neighbour", limit="auth")
reading = create_app("reading", limit="read")
both = create_app("both", limit="by_method")
public = create_app("public", limit="auth", public=True)


@private.post("/private")
async def enter(knock: Knock, caller: Annotated[Caller, Depends(current_caller)]) -> Envelope[str]:
    if knock.phone == "conflict":
        raise Conflict("Not now.")
    if knock.phone == "budget":
        raise RateLimited("Another limit.", headers={"Retry-After": "60"})
    if knock.phone == "bug":
        raise RuntimeError
    return envelope("in")


@neighbour.get("/neighbour")
@reading.get("/reading")
@both.get("/both")
@both.put("/both")
async def read() -> Envelope[str]:
    return envelope("read")


@public.post("/public")
async def knock(request: Request, knock: Knock) -> Envelope[str]:
    limit_identifier(request, knock.phone)
    return envelope(client_ip(request))


@dataclass
class Store:
    """What counts in this test, and the ways to look into it and to move its time on."""

    age: Callable[[float], object]
    keys: Callable[[], list[str]]
    empty: Callable[[], object]


def enter_as(caller: dict[str, Any] | None, phone: object = "x", **request: Any) -> Answer:
    content = None if "body" in request else {"phone": phone}
    return call(
        entry_point(private), "POST", "/private", content=content, authorizer=caller, **request
    )


def knock_at(phone: str = "+254711000009", address: str = "192.0.2.7", **headers: str) -> Answer:
    def from_address(event: dict[str, Any], context: Any) -> dict[str, Any]:
        event["requestContext"]["http"]["sourceIp"] = address
        return entry_point(public)(event, context)

    return call(from_address, "POST", "/public", content={"phone": phone}, headers=headers)


def read_from(app: FastAPI, path: str, caller: dict[str, Any]) -> Answer:
    return call(entry_point(app), "GET", path, authorizer=caller)


def told(answer: Answer) -> dict[str, str]:
    """Return what the headers tell of the bucket."""
    return {
        name.removeprefix("ratelimit-"): value
        for name, value in answer.headers.items()
        if name.startswith("ratelimit-")
    }


def assert_limited(answer: Answer, retry_after: int) -> None:
    assert (answer.status, answer.error["code"]) == (429, "RATE_LIMITED")
    assert answer.headers["retry-after"] == str(retry_after)
    assert told(answer)["remaining"] == "0"
    assert told(answer)["reset"] == str(retry_after)
