"""Who is calling: what the authorizer function found out, as routes see it."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from fastapi import Depends, Request, Security
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fieldgate.authorizer import AuthorizerContext
from fieldgate.errors import Forbidden, TokenExpired, Unauthorized, Unavailable

_CALLER = "fieldgate.caller"


class Caller(BaseModel):
    """A signed-in user. `permissions` are `resource:action` strings."""

    model_config = ConfigDict(frozen=True)

    user_id: UUID = Field(alias="sub")
    session_id: UUID = Field(alias="sid")
    roles: frozenset[str]
    permissions: frozenset[str]

    def may(self, permission: str) -> bool:
        return permission in self.permissions


def caller_of(request: Request) -> Caller:
    """Return who sent `request`.

    Raises:
        Unauthorized: no token, or a bad one.
        TokenExpired: the token was good once.
        Unavailable: the authorizer could not look at the token.

    """
    found: Caller | None = request.scope.get(_CALLER)
    if found is None:
        # The limit asks before the route does.
        found = request.scope[_CALLER] = _from_event(request.scope.get("aws.event", {}))
    return found


def _from_event(event: dict[str, Any]) -> Caller:
    context = AuthorizerContext.from_event(event)
    if context.failure == TokenExpired.default_code:
        raise TokenExpired("The access token has expired.")
    if context.failure == Unavailable.default_code:
        raise Unavailable("Tokens cannot be checked right now. Please try again shortly.")
    if context.claims is None:
        raise Unauthorized("A valid access token is needed.")
    try:
        return Caller.model_validate(context.claims)
    except ValidationError:
        raise Unauthorized("A valid access token is needed.") from None


async def current_caller(request: Request) -> Caller:
    """Give a route its caller; raises what `caller_of` does."""
    return caller_of(request)


def require(permission: str) -> Any:
    """Declare a route's permission: the parameter becomes the caller, or the answer is 403."""
    # As a scope it stands in the route's description.
    return Security(_requirement(permission), scopes=[permission])


def _requirement(permission: str) -> Callable[[Caller], Awaitable[Caller]]:
    async def check(caller: Caller = Depends(current_caller)) -> Caller:  # noqa: B008 FastAPI's way
        if not caller.may(permission):
            raise Forbidden(f"This needs the permission {permission}.")
        return caller

    return check
