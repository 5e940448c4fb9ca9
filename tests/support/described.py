"""Whatever a function answers in any test is what docs/openapi.json says of its route.

`check` is called by `tests.support.gateway.call`, so that every test of a function is one of its
description as well: status, code, headers and form.
"""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import jsonschema_rs

from local.template import ROOT
from tools.routes import DEFAULT, Route, routes


def check(method: str, path: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Fail unless the answer is described; of an address that no route has, nothing is said."""
    route = _route(method, path)
    if route is None:
        return
    described = operation(route)["responses"]
    assert str(status) in described, f"{route.key} answers {status}, which isn't described"
    answer = resolved(described[str(status)])
    assert body or "content" not in answer, f"{route.key} answers {status} without a body"
    if "content" in answer:
        assert headers["content-type"] == "application/json"
        faults = [str(fault) for fault in _validator(route, status).iter_errors(json.loads(body))]
        assert not faults, f"{route.key} answers {status} in another form: {faults}"
    ours = {"x-request-id", "retry-after", "idempotency-replayed"}
    ours |= {name for name in headers if name.startswith("ratelimit-")}
    told = {name.lower() for name in answer["headers"]}
    assert ours & headers.keys() <= told, f"{route.key} answers {status} with undescribed headers"


@cache
def document() -> dict[str, Any]:
    described: dict[str, Any] = json.loads((ROOT / "docs/openapi.json").read_text())
    return described


def operation(route: Route) -> dict[str, Any]:
    found: dict[str, Any] = document()["paths"][route.path][route.method.lower()]
    return found


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference within the document."""
    found: Any = part
    if "$ref" in part:
        found = document()
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
    return dict(found)


def validator(schema: dict[str, Any]) -> jsonschema_rs.Validator:
    """Return what judges by a schema of the document."""
    whole = {"allOf": [schema], "components": document()["components"]}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


@cache
def _validator(route: Route, status: int) -> jsonschema_rs.Validator:
    answer = resolved(operation(route)["responses"][str(status)])
    return validator(answer["content"]["application/json"]["schema"])


@cache
def _routes() -> list[Route]:
    return [route for route in routes() if route.path != DEFAULT]


@cache
def _route(method: str, path: str) -> Route | None:
    fitting = [it for it in _routes() if it.method == method and it.pattern.fullmatch(path)]
    # API Gateway takes the one that says most: /uploads/presign before /uploads/{id}.
    return min(fitting, key=lambda route: route.path.count("{"), default=None)
