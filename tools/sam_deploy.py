"""The command line of `sam deploy`."""

import os
import re
from collections.abc import Mapping

from local.template import ROOT

SAM = ROOT / ".venvs/sam/bin/sam"


def sam_deploy(environment: str, parameters: Mapping[str, str]) -> list[str]:
    """Return the command line that deploys with these parameters.

    Where nobody sits before a terminal (`CI`), nothing is asked. `CLOUDFORMATION_ROLE_ARN` is the
    role that CloudFormation works with, in place of the caller's own rights.

    Raises:
        SystemExit: sam has no way to take a value.

    """
    line = [str(SAM), "deploy", "--config-env", environment, "--no-fail-on-empty-changeset"]
    if os.environ.get("CI"):
        line.append("--no-confirm-changeset")
    if role := os.environ.get("CLOUDFORMATION_ROLE_ARN"):
        line += ["--role-arn", role]
    overrides = [f'{name}="{_escaped(name, value)}"' for name, value in parameters.items()]
    return [*line, "--parameter-overrides", *overrides]


def _escaped(name: str, value: str) -> str:
    # In quotes sam takes a value whole; outside it would end at the first space, and say nothing.
    # It takes a backslash for itself, but for those before a quote or a space, and then it has no
    # way to write those.
    if re.search(r"""\\(?:["' ]|$)""", value):
        raise SystemExit(f"{name}: sam takes no backslash before a quote, a space or the end.")
    return value.replace('"', '\\"')
