"""The pipeline does what anybody can do on their machine, in order, with actions that stay put."""

import re
from typing import Any

import pytest

from local.template import ROOT, read_template

FILES = sorted((ROOT / ".github").glob("*/*.yml")) + sorted((ROOT / ".github").glob("*/*/*.yml"))
SHELL = ("tar ",)  # beside make: how a build is carried from job to job


def jobs(name: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = read_template(ROOT / ".github/workflows" / name)["jobs"]
    return found


def runs() -> list[str]:
    """Every command of every workflow."""
    named = [path.name for path in FILES if path.parent.name == "workflows"]
    steps = [step for name in named for job in jobs(name).values() for step in job.get("steps", [])]
    return [step["run"] for step in steps if "run" in step]


def test_every_action_is_pinned_and_says_its_version() -> None:
    used = [line for path in FILES for line in path.read_text().splitlines() if "uses: " in line]
    assert len(used) > 15
    for line in used:
        pinned = re.search(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line)
        assert pinned or "uses: ./" in line, line


def test_an_action_has_one_version_everywhere() -> None:
    found = re.findall(r"uses: ([\w/-]+)@(\S+)", "".join(path.read_text() for path in FILES))
    assert len(set(found)) == len({action for action, _ in found})


def test_everything_is_a_make_target() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for command in runs():
        if not command.startswith(SHELL):
            assert re.match(r"make [a-z]+", command), command
            assert command.split()[1] in targets, command


@pytest.mark.parametrize("name", ["test.yml", "deploy.yml", "audit.yml"])
def test_no_job_has_more_rights_than_it_needs_or_runs_for_ever(name: str) -> None:
    text = (ROOT / ".github/workflows" / name).read_text()
    assert "\npermissions: {}\n" in text
    for job in jobs(name).values():
        assert job["permissions"].items() <= {"contents": "read", "id-token": "write"}.items()
        assert "uses" in job or job["timeout-minutes"] <= 75


def test_production_gets_the_build_that_staging_was_tried_with() -> None:
    steps = jobs("deploy.yml")
    assert steps["staging"]["needs"] == "test"
    assert set(steps["production"]["needs"]) == {"staging", "load"}
    assert steps["production"]["environment"]["name"] == "production"
    for environment in ("staging", "production"):
        told = [step.get("run") for step in steps[environment]["steps"]]
        assert f"make deploy ENV={environment} BUILT=1" in told
        assert not any(line and line.startswith("make build") for line in told)
