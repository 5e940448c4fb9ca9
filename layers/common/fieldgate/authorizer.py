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
        """Judge the value of an `Authorization` header, as `from_token` does what it holds."""
        return cls.from_token(bearer_token(authorization), check)

    @classmethod
    def from_token(cls, token: str, check: Callable[[dict[str, Any]], dict[str, Any]]) -> Self:
        """Judge an access token; an empty one is none.

        `check` gets the claims of a token that is good by itself; it returns those that hold now,
        or raises what `fieldgate.tokens.verify` does.
        """
        from fieldgate.tokens import verify

        if not token or len(token) > TOKEN_MAX_CHARS:
            return cls(failure=Unauthorized.default_code)
        try:
            return cls(claims=check(verify(token)))
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

    def as_policy(self, method_arn: str) -> dict[str, Any]:
        """Shape the answer of a WebSocket API's authorizer, which knows no simple responses.

        Functions behind it get `context`, flat texts. A refusal reaches the client as a 403.
        """
        claims = self.claims or {}
        effect = "Allow" if claims else "Deny"
        statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": method_arn}
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        return {
            "principalId": claims.get("sub", "nobody"),
            "policyDocument": policy,
            "context": {name: str(claims[name]) for name in ("sub", "sid", "exp") if claims},
        }


def bearer_token(authorization: str) -> str:
    """Return the token of an `Authorization` header (RFC 6750: `Bearer <token>`), or ""."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
