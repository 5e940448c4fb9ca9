"""What all routes have in common in docs/openapi.json: errors, headers, tags, examples."""

import base64
import json
from functools import cache
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from fieldgate.http.described import STATUS_OF
from local.template import ROOT
from tools.routes import Route

type Json = dict[str, Any]
# Of one status, each code and when it comes.
type Codes = dict[str, str]

TAG_OF = {
    "identity": "Identity",
    "sms": "Identity",
    "uploads": "Uploads and media",
    "realtime": "Realtime",
    "push": "Push and inbox",
    "stock": "Stock",
    "configuration": "Configuration",
    "health": "Health",
}
TAGS = [{"name": name} for name in dict.fromkeys(TAG_OF.values())]
SERVERS: list[Json] = [
    {
        "url": "https://{host}",
        "description": "A deployment",
        "variables": {"host": {"default": "api.example.org"}},
    },
    {"url": "http://127.0.0.1:8080", "description": "The local stack (make up)"},
]
DESCRIPTION = """\
JSON in camelCase, times in UTC. How answers, errors, limits and repeated requests work is told once
in docs/api.md, the WebSocket in docs/realtime.md. An address or method that isn't here is answered
with 404 `NOT_FOUND`. API Gateway itself may answer anything with 429, 413, 500 or 503 and a
`message` alone."""

META = {
    "timestamp": "2026-01-10T10:00:00.000Z",
    "version": "1.0",
    "requestId": "5f0c6a52-6b1f-4c2e-9a55-0c9b1d1f7d09",
}
_PAGINATION = {
    "page": 1,
    "pageSize": 20,
    "totalPages": 1,
    "hasNextPage": False,
    "hasPreviousPage": False,
}


def ref(name: str, kind: str = "schemas") -> Json:
    return {"$ref": f"#/components/{kind}/{name}"}


def _object(**properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": [*properties]}


_TEXT = {"type": "string"}
SCHEMAS: Json = {
    "Error": _object(
        success={"const": False},
        error=_object(
            code={"type": "string", "enum": [*STATUS_OF]},
            message=_TEXT | {"description": "A sentence for people; it may change"},
            details={"type": "array", "items": _object(field=_TEXT, message=_TEXT)},
        ),
        meta=ref("Meta"),
    )
    | {"description": "Every error of ours. `details` say what is wrong, and where."},
    "GatewayError": _object(message=_TEXT)
    | {"description": "API Gateway's own: throttled, too large, or a function that didn't start"},
}

_WHOLE = {"type": "string", "pattern": "^[0-9]+$"}
_HEADERS: dict[str, tuple[str, str, Json]] = {
    "RequestId": ("X-Request-Id", "The request's, or one that was made for it", _TEXT),
    "RetryAfter": ("Retry-After", "Seconds until it is worth trying again", _WHOLE),
    "IdempotencyReplayed": (
        "Idempotency-Replayed",
        "The answer is the first one's",
        {"const": "true"},
    ),
    "RateLimitLimit": ("RateLimit-Limit", "The size of the emptier bucket", _WHOLE),
    "RateLimitRemaining": ("RateLimit-Remaining", "Requests left in it", _WHOLE),
    "RateLimitReset": ("RateLimit-Reset", "Seconds until one more request", _WHOLE),
    "RateLimitPolicy": ("RateLimit-Policy", "As 5;w=60;burst=10", _TEXT),
}
LIMIT_HEADERS = [name for name in _HEADERS if name.startswith("RateLimit")]
COMPONENTS: Json = {
    "securitySchemes": {
        "accessToken": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "From /auth/login, /otp/verify or /auth/refresh. A route's requirement"
            " names the permission that it takes.",
        }
    },
    "parameters": {
        "RequestId": {
            "name": "X-Request-Id",
            "in": "header",
            "description": "Comes back in the answer and stands in every log line",
            "schema": {"type": "string"},
        },
        "IdempotencyKey": {
            "name": "Idempotency-Key",
            "in": "header",
            "description": "A new one for each thing to be made; then the request may be repeated",
            "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
            "example": "c4f8a5ea-9d30-4b2c-9e77-3f4a5b6c7d8e",
        },
    },
    "headers": {
        name: {"description": said, "schema": schema}
        for name, (_, said, schema) in _HEADERS.items()
    },
}


def headers(*names: str) -> Json:
    """Return an answer's headers, by their names here."""
    return {_HEADERS[name][0]: ref(name, "headers") for name in names}


def codes_of(route: Route, said: dict[int, Codes]) -> dict[int, Codes]:
    """Return every status and code of a route: what it says, and what follows from its making."""
    codes: dict[int, Codes] = {}

    def add(code: str, when: str) -> None:
        codes.setdefault(STATUS_OF[code], {})[code] = when

    dependant = route.endpoint.dependant
    if route.endpoint.body_field or route.is_idempotent or _has_parameters(dependant):
        add("VALIDATION_ERROR", "`details` say what is wrong")
    if route.needs_caller != "never":
        add("UNAUTHORIZED", "no token, or one that isn't to be trusted")
        add("TOKEN_EXPIRED", "get another")
    if route.permission:
        add("FORBIDDEN", "without the permission that it needs")
    if route.is_idempotent:
        add("CONFLICT", "the same request is still being worked on")
        add("IDEMPOTENCY_KEY_REUSED", "the key was another request's")
    if route.endpoint.body_field:
        add("PAYLOAD_TOO_LARGE", "a body of more than 64 KiB")
    if route.limit:
        add("RATE_LIMITED", "too many; `Retry-After` says when to come back")
    add("INTERNAL_ERROR", "our fault; the request id finds it in the log")
    add("UNAVAILABLE", "a dependency is down; try again")
    for status, own in said.items():
        for code, when in own.items():
            before = codes.setdefault(status, {}).get(code)
            codes[status][code] = f"{before}; {when}" if before and code != "UNAUTHORIZED" else when
    return dict(sorted(codes.items()))


def _has_parameters(dependant: Any) -> bool:
    return bool(dependant.path_params or dependant.query_params)


# Statuses that API Gateway answers by itself as well.
_GATEWAYS = {413, 429, 500, 503}
_WORTH_TRYING_AGAIN = {
    HTTPStatus.CONFLICT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,
}


def refusal(status: int, codes: Codes, *, is_limited: bool) -> Json:
    """Describe one status of a refusal."""
    own, *others = schemas = refusal_schemas(status, codes)
    told = "; ".join(f"`{code}`: {when}" for code, when in codes.items())
    described: Json = {"description": told, "headers": headers("RequestId")}
    if status in _WORTH_TRYING_AGAIN:
        described["headers"] |= headers("RetryAfter")
    if is_limited:
        described["headers"] |= headers(*LIMIT_HEADERS)
    described["content"] = {"application/json": {"schema": {"anyOf": schemas} if others else own}}
    return described


def refusal_schemas(status: int, codes: Codes) -> list[Json]:
    """Return the schemas of a refusal: ours, and the gateway's where it answers so too."""
    told = {"code": {"enum": [*codes]}}
    ours = {"allOf": [ref("Error"), {"properties": {"error": {"properties": told}}}]}
    return [ours, ref("GatewayError")] if status in _GATEWAYS else [ours]


@cache
def examples() -> dict[str, Json]:
    """Return what events/answers/ has of each route: `data` or `bare`, perhaps a `request`."""
    found: dict[str, Json] = {}
    for path in sorted((ROOT / "events/answers").glob("*.json")):
        found |= json.loads(path.read_text())
    return found


def example(key: str) -> Json:
    """Return the example of a route's answer, with all that is around it."""
    answer = examples()[key]
    if "bare" in answer:
        bare: Json = answer["bare"]
        return bare
    whole: Json = {"success": True, "data": answer["data"]}
    if isinstance(answer["data"], list) and key != "GET /api/v1/config":
        whole["pagination"] = _PAGINATION | {"total": len(answer["data"])}
    return whole | {"meta": META}


def form(body: str) -> Json:
    """Return the fields of a form, as API Gateway hands it over."""
    return dict(parse_qsl(base64.b64decode(body).decode()))
