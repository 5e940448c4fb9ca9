"""`python -m local.deploy_parameters ENV NAME=value ...`: all parameters of a deployment, for sam.

`sam deploy --parameter-overrides` takes the place of the list in samconfig.toml and doesn't add to
it; so what the environment has there, what is given here, and what was built are put together.
"""

import shlex
import sys
import time

from local.parameters import current_commit
from local.template import read_parameters


def main(environment: str, *given: str) -> int:
    """Print `NAME=value` for each parameter; returns the exit code."""
    parameters = read_parameters(environment)
    parameters |= {
        "CommitSha": current_commit(),
        "BuildDate": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    for pair in given:
        name, _, value = pair.partition("=")
        parameters[name] = value
    print(" ".join(shlex.quote(f"{name}={value}") for name, value in parameters.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
