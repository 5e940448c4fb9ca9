"""Calls a function the way API Gateway's HTTP API does (payload 2.0), and signs users in.

    answer = call(get_profile.handler, "GET", "/api/v1/auth/me", authorizer=signed_in(user_id))
    assert answer.status == 200
    assert answer.data["id"] == str(user_id)

`signed_in` needs the fixture `environment` (tests/conftest.py), which holds the keys; functions
that use the database need `live_database`.
"""

import base64
import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode

from fieldgate import cache
from fieldgate.authorizer import AuthorizerContext
from fieldgate.tokens import Subject, issue, verify
from tests.support import described

type Handler = Callable[[dict[str, Any], Any], dict[str, Any]]

HOST = "api.fieldgate.test"
# What the gateway passes on as text; any other body comes in base64.
_TEXT_TYPES = ("text/", "application/json", "application/xml", "application/javascript")


@dataclass(frozen=True)
class LambdaContext:
    """What Lambda hands a function besides the event, as far as ours look at it."""

    remaining_milliseconds: int = 30_000

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining_milliseconds


@dataclass(frozen=True)
class Answer:
    """What the client gets. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def data(self) -> Any:
        """What the envelope of a success holds."""
        content = self.json()
        assert content["success"] is True, content
        return content["data"]

    @property
    def error(self) -> Any:
        """What the envelope of a failure holds: code, message, details."""
        content = self.json()
        assert content["success"] is False, content
        return content["error"]


def call(
    handler: Handler,
    method: str,
    path: str,
    *,
    query: Mapping[str, str] | str = "",
    headers: Mapping[str, str] | None = None,
    content: Any = None,
    body: str | bytes | None = None,
    authorizer: Mapping[str, Any] | None = None,
    route: str | None = None,
) -> Answer:
    """Have `handler` answer one request, as docs/openapi.json says that it does.

    Args:
        handler: the `handler` of a function module.
        method: GET, POST ...
        path: as the client sends it, percent-encoded where it must be.
        query: what follows the question mark, or its names and values.
        headers: of the request; `content-type: application/json` is added to a body without one.
        content: sent as JSON, unless None.
        body: sent as it is, instead of `content`.
        authorizer: what the authorizer function found out (see `signed_in`); None is a route
            without authorizer.
        route: the route key of template.yaml ("GET /media/{id}"); method and path unless told.

    """
    if content is not None:
        body = json.dumps(content)
    event = http_event(method, path, query, headers, body, authorizer, route)
    result = handler(json.loads(json.dumps(event)), None)
    text = result.get("body") or ""
    answer = Answer(
        status=result["statusCode"],
        headers={name.lower(): str(value) for name, value in result.get("headers", {}).items()},
        body=base64.b64decode(text) if result.get("isBase64Encoded") else text.encode(),
    )
    described.check(method, path, answer.status, answer.headers, answer.body)
    return answer


def http_event(
    method: str,
    path: str,
    query: Mapping[str, str] | str = "",
    headers: Mapping[str, str] | None = None,
    body: str | bytes | None = None,
    authorizer: Mapping[str, Any] | None = None,
    route: str | None = None,
) -> dict[str, Any]:
    """Return the event (payload 2.0) that the gateway makes of a request."""
    raw_query = query if isinstance(query, str) else urlencode(query)
    found = {"host": HOST, "user-agent": "fieldgate-tests", "x-forwarded-proto": "https"}
    found |= {name.lower(): value for name, value in (headers or {}).items()}
    content = body.encode() if isinstance(body, str) else body
    if content is not None:
        found = {"content-type": "application/json", "content-length": str(len(content))} | found
    request_context: dict[str, Any] = {
        "accountId": "123456789012",
        "apiId": "a1b2c3",
        "domainName": HOST,
        "domainPrefix": "api",
        "http": {
            "method": method,
            "path": unquote(path),
            "protocol": "HTTP/1.1",
            "sourceIp": "192.0.2.7",
            "userAgent": found["user-agent"],
        },
        "requestId": uuid.uuid4().hex[:16],
        "routeKey": route or f"{method} {path}",
        "stage": "$default",
        "time": "10/Jan/2026:10:00:00 +0000",
        "timeEpoch": 1768039200000,
    }
    if authorizer is not None:
        request_context["authorizer"] = {"lambda": dict(authorizer)}
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": request_context["routeKey"],
        "rawPath": unquote(path),
        "rawQueryString": raw_query,
        "headers": found,
        "requestContext": request_context,
        "isBase64Encoded": False,
    }
    if raw_query:
        event["queryStringParameters"] = dict(parse_qsl(raw_query, keep_blank_values=True))
    if content is not None:
        event |= _transported(content, found["content-type"])
    return event


def authorized(authorization: str | None) -> dict[str, Any]:
    """Run the authorizer function on the value of an `Authorization` header; return its context."""
    from identity import authorize

    headers = {} if authorization is None else {"authorization": authorization}
    event = http_event("GET", "/api/v1/auth/me", headers=headers)
    event |= {"type": "REQUEST", "identitySource": [], "routeArn": "arn:aws:execute-api:test"}
    response = json.loads(json.dumps(authorize.handler(event, None)))
    assert response["isAuthorized"] is True
    context: dict[str, Any] = response["context"]
    return context


def signed_in(
    user_id: uuid.UUID,
    *,
    roles: Iterable[str] = (),
    permissions: Iterable[str] = (),
    permission_version: int = 1,
    session_id: uuid.UUID | None = None,
) -> dict[str, Any]:
    """Return the authorizer's context for a real token of `user_id`.

    Nobody looks whether there is such a session; `authorized` does.
    """
    session_id = session_id or uuid.uuid4()
    token = issue(Subject(user_id, roles, permissions, permission_version, session_id))
    context: dict[str, Any] = AuthorizerContext(claims=verify(token.text)).as_response()["context"]
    return context


def say_alive(subject: Subject) -> None:
    """Have the cache know a token's session and user, so that `authorized` asks no database."""
    states = {
        f"session:{subject.session_id}": "alive",
        f"user:{subject.user_id}": str(subject.permission_version),
    }
    cache.set_many(states, 30)


def _transported(content: bytes, content_type: str) -> dict[str, Any]:
    if content_type.startswith(_TEXT_TYPES):
        try:
            return {"body": content.decode()}
        except UnicodeDecodeError:
            pass
    return {"body": base64.b64encode(content).decode(), "isBase64Encoded": True}
