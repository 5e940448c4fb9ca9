"""What passes from the authorizer function to the function behind it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from fieldgate.errors import Unauthorized, Unavailable

TOKEN_MAX_CHARS = 8192


@dataclass(frozen=True)
class AuthorizerContext:
    """The claims of a good access token, or the code of the error that there is instead."""

    claims: dict[str, Any] | None = None
    failure: str | None = None

    @classmethod
    def from_header(
        cls, authorization: str, check: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> Self:
        """Judge the value of an `Authorization` header (RFC 6750: `Bearer <token>`).

        `check` gets the claims of a token that is good by itself; it returns those that hold now,
        or raises what `fieldgate.tokens.verify` does.
        """
        from fieldgate.tokens import verify

        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or len(token) > TOKEN_MAX_CHARS:
            return cls(failure=Unauthorized.default_code)
        try:
            return cls(claims=check(verify(token.strip())))
        except (Unauthorized, Unavailable) as refusal:
            return cls(failure=refusal.code)

    @classmethod
    def from_event(cls, event: dict[str, Any]) -> Self:
        """Read it from an API Gateway event; a request that no authorizer saw has no caller."""
        authorizer = event.get("requestContext", {}).get("authorizer") or {}
        context = authorizer.get("lambda") or {}
        return cls(claims=context.get("claims"), failure=context.get("failure"))

    def as_response(self) -> dict[str, Any]:
        """Shape the authorizer's simple response (payload 2.0), which always lets the request by.

        A refusal by the gateway would reach the client as the gateway's own
        `{"message": "Forbidden"}`; the contract wants a 401 in the envelope, which only the
        function can write: docs/decisions/0004-authorizer-reports.md.
        """
        context = {"claims": self.claims} if self.claims else {"failure": self.failure}
        return {"isAuthorized": True, "context": context}
