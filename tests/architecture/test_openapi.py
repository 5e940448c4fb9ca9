"""docs/openapi.json is what the functions say of themselves, whole, and its examples fit it."""

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from fieldgate.http import RequestModel
from fieldgate.http.described import STATUS_OF
from tests.support.described import document, operation, resolved, validator
from tools import openapi
from tools.openapi import described_routes
from tools.openapi_parts import examples
from tools.reference import pages
from tools.routes import Route

ROUTES = described_routes()


def bodies(part: dict[str, Any]) -> Iterator[tuple[dict[str, Any], Any]]:
    """Yield schema and example of each content that has one."""
    for content in part.get("content", {}).values():
        if "example" in content:
            yield content["schema"], content["example"]


def test_the_document_is_current() -> None:
    """`make openapi` writes it."""
    assert openapi.TARGET.read_text() == openapi.written()


def test_the_reference_is_current() -> None:
    """`make openapi` writes it."""
    for path, text in pages(document()).items():
        assert path.read_text() == text, path.name


def test_it_is_openapi() -> None:
    assert [str(fault) for fault in OPENAPI_31_VALIDATOR.iter_errors(document())] == []


def test_every_route_is_in_it_by_a_name_of_its_own() -> None:
    described = [it for path in document()["paths"].values() for it in path.values()]
    assert len(described) == len(ROUTES)
    assert len({it["operationId"] for it in described}) == len(ROUTES)
    assert all(it["summary"] and it["tags"] for it in described)
    # What FastAPI tells apart by a long name gets a short one in tools/openapi.py.
    schemas = document()["components"]["schemas"]
    assert not [name for name in schemas if "__" in name or "-" in name]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.key)
def test_its_examples_are_as_it_says(route: Route) -> None:
    described = operation(route)
    for parameter in map(resolved, described["parameters"]):
        if "example" in parameter:
            assert validator(parameter["schema"]).is_valid(parameter["example"]), parameter["name"]
    request = described.get("requestBody", {})
    given = [*bodies(request)]
    for answer in map(resolved, described["responses"].values()):
        given += bodies(answer)
    for schema, example in given:
        assert [str(fault) for fault in validator(schema).iter_errors(example)] == []


def test_whoever_takes_or_answers_something_shows_it() -> None:
    for route in ROUTES:
        described = operation(route)
        for content in described.get("requestBody", {}).get("content", {}).values():
            # What may be left out altogether needs no example.
            assert content["example"] is not None or route.key.endswith("rollback"), route.key
        answers = [it for status, it in described["responses"].items() if status < "300"]
        contents = [it["content"]["application/json"] for it in answers if "content" in it]
        assert not contents or any("example" in it for it in contents), route.key
    assert examples().keys() <= {route.key for route in ROUTES}


def test_every_code_of_the_api_is_some_routes() -> None:
    answers = [
        resolved(answer) for route in ROUTES for answer in operation(route)["responses"].values()
    ]
    told = " ".join(answer["description"] for answer in answers)
    assert {code for code in STATUS_OF if f"`{code}`" in told} == set(STATUS_OF)


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models that a value of this type is made of."""
    for part in get_args(annotation):
        yield from models_in(part)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from models_in(field.annotation)


def test_requests_are_taken_by_their_published_names_alone() -> None:
    """What is snake_case in our source is a misspelt name in a request, and refused as one."""
    taken = 0
    for route in ROUTES:
        dependant = route.endpoint.dependant
        for field in [*dependant.body_params, *dependant.query_params]:
            for model in models_in(field.field_info.annotation):
                taken += 1
                assert issubclass(model, RequestModel), f"{route.key}: {model.__name__}"
                assert model.model_config["validate_by_name"] is False
    assert taken > 30
