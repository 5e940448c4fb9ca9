"""The sample events about configuration: each is answered as documented."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from configuration import list_config, set_config
from fieldgate.db.engine import Database
from local import template as sam
from tests.support.gateway import Handler
from tests.support.people import Person, begin_session_of, register

EVENTS = Path(__file__).parents[3] / "events"
SAMPLES: dict[str, Handler] = {
    "list_config": list_config.handler,
    "set_config": set_config.handler,
}


def sample(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return event


def test_every_function_of_configuration_has_its_sample_run_here() -> None:
    handlers = [
        properties["Handler"].split(".")
        for _, properties in sam.resources(sam.read_template(), sam.FUNCTION)
    ]
    assert {name for domain, name, _ in handlers if domain == "configuration"} == SAMPLES.keys()


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_answered_as_documented(live_database: Database, name: str) -> None:
    event = sample(name)
    caller = event["requestContext"]["authorizer"]["lambda"]["claims"]["sub"]
    register(live_database, Person("", None, id=UUID(caller), roles=("admin",)))
    begin_session_of(live_database, event)

    said = SAMPLES[name](event, None)

    assert said["statusCode"] == 200, said
    assert said["headers"]["x-request-id"] == event["headers"]["x-request-id"]
