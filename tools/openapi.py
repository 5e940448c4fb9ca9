"""`python -m tools.openapi`: write docs/openapi.json and docs/reference/, of all HTTP functions.

Each function describes its own routes (FastAPI); template.yaml says which there are and what needs
a token; what follows from how a route is made is added here: `Route` (tools/routes.py) has it.
"""

import inspect
import json
import re
from collections.abc import Iterable
from copy import copy
from functools import cache
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter
from pydantic.alias_generators import to_camel

from fieldgate.http.described import CODES, SHAPE
from local.template import ROOT
from tools import openapi_parts as parts
from tools.routes import DEFAULT, Route, routes

TARGET = ROOT / "docs/openapi.json"

# As many routes as refuse alike have it in one place.
SHARED_BY = 4

type Json = dict[str, Any]

# What FastAPI has to tell apart by longer names, as a model's and a field's type of one name.
_NAMES = {
    "Profile-Input": "SessionProfile",
    "Profile-Output": "Profile",
    "Status-Input": "NewUserStatus",
    "Status-Output": "HealthStatus",
    "identity__change_phone__Proof": "PhoneProof",
    "identity__verify_otp__Proof": "CodeProof",
    "push__sending__Audience": "NotificationAudience",
    "realtime__request_types__Audience": "BroadcastAudience",
    "health__dependencies__State": "DependencyState",
    "uploads__views__State": "MediaState",
}


@cache
def described_routes() -> list[Route]:
    """Return every route but the one for all other addresses."""
    return [route for route in routes() if route.path != DEFAULT]


def document() -> Json:
    """Return the API's description in OpenAPI 3.1, the same for the same source."""
    described: Json = get_openapi(
        title="Fieldgate",
        version="1.0",
        summary="The back end of a mobile app used in the field",
        description=parts.DESCRIPTION,
        routes=[_bare(route) for route in described_routes()],
        servers=parts.SERVERS,
        tags=parts.TAGS,
    )
    schemas = described["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for route in described_routes():
        _dress(described["paths"][route.path][route.method.lower()], route, schemas)
    schemas |= parts.SCHEMAS
    described["components"] = {
        **parts.COMPONENTS,
        "responses": _shared(described["paths"]),
        "schemas": schemas,
    }
    named: Json = json.loads(_renamed(json.dumps(_untitled(described))))
    named["components"]["schemas"] = dict(sorted(named["components"]["schemas"].items()))
    return named


def written() -> str:
    """Return the text of docs/openapi.json."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def _bare(route: Route) -> Any:
    """Return the endpoint without what `described.py` says, which FastAPI doesn't know."""
    endpoint = copy(route.endpoint)
    endpoint.methods = {route.method}
    endpoint.responses = {}
    endpoint.operation_id = to_camel(endpoint.operation_id or endpoint.name)
    return endpoint


def _dress(operation: Json, route: Route, schemas: Json) -> None:
    summary, more = _told(route)
    operation["summary"] = summary
    operation["tags"] = [parts.TAG_OF[route.domain]]
    if more:
        operation["description"] = more
    needed: Json = {"accessToken": [route.permission] if route.permission else []}
    operation["security"] = {
        "never": [],
        "sometimes": [{}, needed],
        "always": [needed],
    }[route.needs_caller]
    if route.rate:
        a_minute, at_once = route.rate
        operation["x-rate-limit"] = {
            "class": route.limit,
            "requestsAMinute": a_minute,
            "atOnce": at_once,
            "of": "the caller" if route.needs_caller == "always" else "the network address",
        }
    _dress_request(operation, route)
    operation["responses"] = _responses(operation["responses"], route, schemas)


def _told(route: Route) -> tuple[str, str]:
    """Return what a route does, in one sentence, and what its function's module adds to that."""
    doc = inspect.getdoc(inspect.getmodule(route.endpoint.endpoint)) or ""
    first, *others = doc.split("\n\n")
    sentence = route.endpoint.summary or first.partition(": ")[2].removesuffix(".")
    more = [" ".join(other.split()) for other in others if not other.startswith("(")]
    return sentence[:1].upper() + sentence[1:], "\n\n".join(more)


def _dress_request(operation: Json, route: Route) -> None:
    sample, body = _sample(route)
    for parameter in operation.get("parameters", []):
        parameter["schema"] = _never_null(parameter["schema"])
        if parameter["name"] in sample:
            parameter["example"] = _typed(sample[parameter["name"]], parameter["schema"])
    shared = ["RequestId", *(["IdempotencyKey"] if route.is_idempotent else [])]
    operation.setdefault("parameters", []).extend(
        {"$ref": f"#/components/parameters/{name}"} for name in shared
    )
    for content in operation.get("requestBody", {}).get("content", {}).values():
        content["example"] = body


def _sample(route: Route) -> tuple[dict[str, str], Any]:
    """Return parameters and body of a request, from the function's sample event."""
    event = json.loads((ROOT / f"events/{route.module.partition('.')[2]}.json").read_text())
    given = dict(parse_qsl(event.get("rawQueryString") or ""))
    if event["routeKey"] == route.key:
        found = route.pattern.fullmatch(event["rawPath"])
        given |= found.groupdict() if found else {}
    answer = parts.examples().get(route.key, {})
    if "request" in answer or event["routeKey"] != route.key:
        return given | answer.get("parameters", {}), answer.get("request")
    body = event.get("body")
    if body and event.get("isBase64Encoded"):
        return given, parts.form(body)
    return given, json.loads(_spelt_out(body)) if body else None


def _spelt_out(body: str) -> str:
    return body.replace('"<code>"', '"123456"')


def _responses(given: Json, route: Route, schemas: Json) -> Json:
    given.pop("422", None)
    found: Json = {}
    ((main, answer),) = given.items()
    statuses = {main: answer}
    refused: dict[int, Json] = {}
    for status, said in route.endpoint.responses.items():
        refused.setdefault(int(status), {}).update(said.get(CODES, {}))
        if SHAPE in said:
            statuses[str(status)] = _shaped(answer, said[SHAPE], schemas)
        elif not said.get(CODES):
            statuses[str(status)] = answer | said
    for status, content in statuses.items():
        found[status] = _success(content, int(status), route, is_main=status == main)
    for status, codes in parts.codes_of(route, {k: v for k, v in refused.items() if v}).items():
        if str(status) not in found:
            found[str(status)] = parts.refusal(status, codes, is_limited=route.limit is not None)
        else:  # a health check that says so itself: the function may fail as any may
            schema = found[str(status)]["content"]["application/json"]
            others = parts.refusal_schemas(status, codes)
            schema["schema"] = {"anyOf": [schema["schema"], *others]}
    return dict(sorted(found.items()))


def _shared(paths: Json) -> Json:
    """Put what several routes refuse in the same words into one place; return what is there."""
    refused = [
        (answers, status)
        for operations in paths.values()
        for operation in operations.values()
        for answers in [operation["responses"]]
        for status in answers
        if int(status) >= HTTPStatus.BAD_REQUEST
    ]
    texts = [json.dumps(answers[status]) for answers, status in refused]
    shared: dict[str, str] = {}
    for (_, status), text in zip(refused, texts, strict=True):
        if texts.count(text) >= SHARED_BY and text not in shared:
            shared[text] = _free_name(HTTPStatus(int(status)), shared.values())
    for (answers, status), text in zip(refused, texts, strict=True):
        if text in shared:
            answers[status] = parts.ref(shared[text], "responses")
    return {name: json.loads(text) for text, name in shared.items()}


def _free_name(status: HTTPStatus, taken: Iterable[str]) -> str:
    name = "".join(word.title() for word in re.findall("[a-z]+", status.phrase, re.IGNORECASE))
    return next(it for it in (name, *(f"{name}{n}" for n in range(2, 99))) if it not in taken)


def _shaped(answer: Json, shape: type, schemas: Json) -> Json:
    schema = TypeAdapter(shape).json_schema(ref_template="#/components/schemas/{model}")
    schemas |= schema.pop("$defs", {})
    schemas[shape.__name__] = schema
    own: Json = {"$ref": f"#/components/schemas/{shape.__name__}"}
    if "Envelope" in json.dumps(answer):
        own = {
            "allOf": [parts.ref("Envelope_dict_str__Any__"), {"properties": {"data": own}}],
        }
    return answer | {"content": {"application/json": {"schema": own}}}


def _success(answer: Json, status: int, route: Route, *, is_main: bool) -> Json:
    names = ["IdempotencyReplayed"] * route.is_idempotent
    names += parts.LIMIT_HEADERS * (route.limit is not None)
    described = answer.get("description", "")
    success: Json = {
        "description": HTTPStatus(status).phrase
        if described == "Successful Response"
        else described,
        "headers": parts.headers("RequestId", *names),
    }
    content = answer.get("content")
    if content and status != HTTPStatus.NO_CONTENT:
        success["content"] = json.loads(json.dumps(content))
        if is_main:
            success["content"]["application/json"]["example"] = parts.example(route.key)
    return success


def _never_null(schema: Json) -> Json:
    """Leave null out of a parameter's schema: a query has no way to say it."""
    others = [it for it in schema.get("anyOf", []) if it != {"type": "null"}]
    if len(others) != 1:
        return schema
    others[0] |= {name: value for name, value in schema.items() if name != "anyOf"}
    own: Json = others[0]
    return own


def _typed(text: str, schema: Json) -> Any:
    if schema.get("type") in {"integer", "boolean"}:
        return json.loads(text)
    return text


def _untitled(part: Any, *, is_schema: bool = True) -> Any:
    """Leave out the titles that pydantic makes of names; a property may be called so."""
    if isinstance(part, list):
        return [_untitled(it) for it in part]
    if not isinstance(part, dict):
        return part
    kept = dict(part)
    if is_schema and "version" not in part:  # which the document has, and is called Fieldgate
        kept.pop("title", None)
    return {
        name: value
        if name in {"example", "examples"}
        else _untitled(value, is_schema=name != "properties")
        for name, value in kept.items()
    }


def _renamed(text: str) -> str:
    """Name schemas as a client's author would: those of envelopes and pages, and `_NAMES`."""
    for old, new in _NAMES.items():
        text = re.sub(rf"(?<=[\"/]){old}(?=\")", new, text)
    text = re.sub(r"(?<=[\"/])Envelope_list_(\w+?)__(?=\")", r"\1ListAnswer", text)
    text = text.replace("Envelope_dict_str__Any__", "AnyAnswer")
    text = re.sub(r"(?<=[\"/])Envelope_(\w+?)_(?=\")", r"\1Answer", text)
    return re.sub(r"(?<=[\"/])Page_(\w+?)_(?=\")", r"\1Page", text)


if __name__ == "__main__":
    from tools import reference

    TARGET.write_text(written())
    reference.write(document())
