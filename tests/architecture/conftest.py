"""template.yaml, as it is written and as AWS would deploy it. Nobody changes what they get."""

import json
from typing import Any

import pytest

from local import template as sam
from local.api_resources import expand_http_apis
from local.template import Template
from local.versions import call_functions_themselves
from tools.expanded_template import expanded


@pytest.fixture(scope="session")
def source() -> Template:
    return sam.read_template()


@pytest.fixture(scope="session")
def deployed() -> Template:
    return expanded()


@pytest.fixture(scope="session")
def resources(deployed: Template) -> dict[str, dict[str, Any]]:
    """Everything in the expanded template, with the API's routes written out.

    Who calls a function's alias calls the function here; `deployed` has the aliases.
    """
    written_out: Template = json.loads(json.dumps(deployed))
    call_functions_themselves(written_out)
    expand_http_apis(written_out)
    resources: dict[str, dict[str, Any]] = written_out["Resources"]
    return resources
