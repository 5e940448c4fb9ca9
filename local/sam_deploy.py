"""The command line of `sam deploy`."""

import os
from collections.abc import Mapping

from local.template import ROOT

SAM = ROOT / ".venvs/sam/bin/sam"


def sam_deploy(environment: str, parameters: Mapping[str, str]) -> list[str]:
    """Return the command line that deploys with these parameters.

    Where nobody sits before a terminal (`CI`), nothing is asked. `CLOUDFORMATION_ROLE_ARN` is the
    role that CloudFormation works with, in place of the caller's own rights.
    """
    line = [str(SAM), "deploy", "--config-env", environment, "--no-fail-on-empty-changeset"]
    if os.environ.get("CI"):
        line.append("--no-confirm-changeset")
    if role := os.environ.get("CLOUDFORMATION_ROLE_ARN"):
        line += ["--role-arn", role]
    overrides = [f'{name}="{_escaped(value)}"' for name, value in parameters.items()]
    return [*line, "--parameter-overrides", *overrides]


def _escaped(value: str) -> str:
    # In quotes sam takes a value whole; outside it would end at the first space, and say nothing.
    return value.replace("\\", "\\\\").replace('"', '\\"')
