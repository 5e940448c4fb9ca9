"""`python -m tools.deploy_to_aws ENV`: run sam deploy with all of its parameters.

`sam deploy --parameter-overrides` takes the place of the list in samconfig.toml and doesn't add to
it; so what the environment has there, what `PARAMETERS` holds ("Name=value Other=value", quoted as
in a shell), and what was built are put together.
"""

import os
import secrets
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from local.parameters import current_commit
from local.template import read_parameters, read_template
from tools.roll_back import keep
from tools.sam_deploy import sam_deploy


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
        # A new one each time: else aliases would stay at the version before.
        "ReleaseId": secrets.token_hex(5),
    }
    known = read_template()["Parameters"]
    for pair in given:
        name, equals, value = pair.partition("=")
        # sam passes over a name that the template doesn't have, without a word.
        if not equals or name not in known:
            raise SystemExit(f"{pair!r} is not NAME=value of a parameter in template.yaml.")
        parameters[name] = _text_of(value[1:]) if value.startswith("@") else value
    return sam_deploy(environment, parameters)


def _text_of(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError as error:
        raise SystemExit(f"{path} can't be read: {error.strerror}") from None


def main() -> None:
    """Deploy, having kept what runs now so that `make rollback` can bring it back."""
    if len(sys.argv) != 2:
        raise SystemExit("Which environment? make deploy ENV=staging PARAMETERS=...")
    try:
        given = shlex.split(os.environ.get("PARAMETERS", ""))
    except ValueError as error:
        raise SystemExit(f"PARAMETERS: {error}.") from None
    line = command(sys.argv[1], given)
    keep(sys.argv[1])
    os.execv(line[0], line)  # noqa: S606 a list of words, no shell wanted


if __name__ == "__main__":
    main()
