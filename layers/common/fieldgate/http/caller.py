"""Who is calling: what the authorizer function found out, as routes see it."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from fastapi import Depends, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fieldgate.authorizer import AuthorizerContext
from fieldgate.errors import Forbidden, TokenExpired, Unauthorized


class Caller(BaseModel):
    """A signed-in user. `permissions` are `resource:action` strings."""

    model_config = ConfigDict(frozen=True)

    user_id: UUID = Field(alias="sub")
    roles: frozenset[str]
    permissions: frozenset[str]

    def may(self, permission: str) -> bool:
        return permission in self.permissions


def current_caller(request: Request) -> Caller:
    """Return the caller.

    Raises:
        Unauthorized: no token, or a bad one.
        TokenExpired: the token was good once.

    """
    context = AuthorizerContext.from_event(request.scope.get("aws.event", {}))
    if context.failure == TokenExpired.default_code:
        raise TokenExpired("The access token has expired.")
    if context.claims is None:
        raise Unauthorized("A valid access token is needed.")
    try:
        return Caller.model_validate(context.claims)
    except ValidationError:
        raise Unauthorized("A valid access token is needed.") from None


def require(permission: str) -> Any:
    """Declare a route's permission: the parameter becomes the caller, or the answer is 403."""
    return Depends(_requirement(permission))


def _requirement(permission: str) -> Callable[[Caller], Caller]:
    def check(caller: Caller = Depends(current_caller)) -> Caller:  # noqa: B008 FastAPI's way
        if not caller.may(permission):
            raise Forbidden(f"This needs the permission {permission}.")
        return caller

    return check
