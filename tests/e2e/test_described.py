"""Requests by the API's description, good and bad ones, meet the answers that it promises.

Schemathesis makes them of docs/openapi.json: the examples, what lies at the edges of each schema
and just outside of it, and whatever chance finds. `make fuzz` lets chance go on for longer.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local.template import ROOT
from tests.e2e.conftest import Stack, bearer, running_stack
from tools.openapi import described_routes

# What chance finds for each route; without FUZZ, the little there is time for in every run.
CHANCES = os.environ.get("FUZZ", "2")
CHECKS = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance"),
    *("response_headers_conformance", "response_schema_conformance", "negative_data_rejection"),
)
# An admin may do everything, so edges are tried as one; what an agent may not is refused at once,
# and where no token is asked for nobody needs one.
PHASES = {
    "nobody": "examples,coverage,fuzzing",
    "agent": "examples,fuzzing",
    "admin": "examples,coverage,fuzzing",
}
PUBLIC = sorted({route.path for route in described_routes() if route.needs_caller != "always"})
# It would end the session by which all else is asked.
LEFT_OUT = "/api/v1/auth/logout"
CONFIGURATION = """
[phases.coverage]
unexpected-methods = []
"""


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that nobody else uses: what is sent here changes the configuration, and more."""
    with running_stack(tmp_path_factory.mktemp("described")) as stack:
        yield stack


@contextmanager
def options_of(stack: Stack, who: str) -> Iterator[list[str]]:
    if who == "nobody":
        yield [part for path in PUBLIC for part in ("--include-path", path)]
        return
    with stack.phone(who) as phone:
        header = f"Authorization: Bearer {bearer(phone)}"
        hidden = [part for path in PUBLIC for part in ("--exclude-path", path)]
        yield ["--header", header, "--exclude-path", LEFT_OUT, *(hidden if who == "admin" else [])]


@pytest.mark.parametrize("who", PHASES)
def test_every_answer_is_as_described(own_stack: Stack, tmp_path: Path, who: str) -> None:
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    with options_of(own_stack, who) as options:
        command: list[str | Path] = [
            *(ROOT / ".venv/bin/schemathesis", "run", ROOT / "docs/openapi.json"),
            *("--url", own_stack.url, "--phases", PHASES[who], "--checks", ",".join(CHECKS)),
            *("--max-examples", CHANCES, "--generation-deterministic", "--no-shrink"),
            *("--continue-on-failure", "--warnings", "off", "--no-color"),
            *options,
        ]
        surroundings = {
            "SCHEMATHESIS_HOOKS": "tests.e2e.schemathesis_hooks",
            "FUZZED_CACHE": own_stack.address("cache"),
            "PYTHONPATH": str(ROOT),
        }
        run = subprocess.run(
            command,
            cwd=tmp_path,  # where its configuration is, and what it writes
            env=os.environ | surroundings,
            capture_output=True,
            text=True,
            check=False,
        )
    assert run.returncode == 0, run.stdout + run.stderr
