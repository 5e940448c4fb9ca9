"""`python -m local.deploy_to_aws ENV NAME=value ...`: run sam deploy with all of its parameters.

`sam deploy --parameter-overrides` takes the place of the list in samconfig.toml and doesn't add to
it; so what the environment has there, what is given here, and what was built are put together.
"""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from local.parameters import current_commit
from local.template import ROOT, read_parameters

SAM = ROOT / ".venvs/sam/bin/sam"


def command(environment: str, given: Sequence[str]) -> list[str]:
    """Return the command line; `NAME=@file` stands for the file's text.

    Raises:
        SystemExit: an unknown environment, or something that is no parameter, said plainly.

    """
    try:
        parameters = read_parameters(environment)
    except KeyError:
        raise SystemExit(f"samconfig.toml has no environment {environment!r}.") from None
    parameters |= {
        "CommitSha": current_commit(),
        "BuildDate": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals:
            raise SystemExit(f"{pair!r} is not NAME=value.")
        parameters[name] = Path(value[1:]).read_text() if value.startswith("@") else value
    overrides = [f'{name}="{_escaped(value)}"' for name, value in parameters.items()]
    return [str(SAM), "deploy", "--config-env", environment, "--parameter-overrides", *overrides]


def _escaped(value: str) -> str:
    # In quotes sam takes a value whole; outside it would end at the first space, and say nothing.
    return value.replace("\\", "\\\\").replace('"', '\\"')


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit("Which environment? make deploy ENV=staging PARAMETERS=...")
    line = command(sys.argv[1], sys.argv[2:])
    os.execv(line[0], line)  # noqa: S606 a list of words, no shell wanted
