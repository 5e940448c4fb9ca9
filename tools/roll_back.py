"""`python -m tools.roll_back ENV`: deploy again what ran before the last deployment from here.

That is the template as it was deployed, which names its code by address in the artifacts' bucket,
and the parameters it had: the same bytes run again, and nothing is built. A deployment that fails
by itself, or by its alarms, needs none of this: CloudFormation has taken it back already.

Migrations only go forward, so what ran before finds the schema of what came after it, for which
each migration is good (docs/decisions/0010-migrations-run-in-the-deployment.md).
"""

import json
import os
import secrets
import sys
import tomllib
from pathlib import Path
from typing import Any

from local.template import ROOT
from tools.sam_deploy import sam_deploy

# What CloudFormation shows in place of a parameter that is a secret. Left out, it stays as it is.
HIDDEN = "****"


def kept_at(environment: str) -> Path:
    """Return the folder where `keep` puts what ran."""
    return ROOT / ".build/before" / environment


def keep(environment: str, client: Any = None) -> bool:
    """Write down what runs now; return whether there was anything."""
    import boto3  # noqa: PLC0415 half a second
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    folder = kept_at(environment)
    for left in folder.glob("*"):
        left.unlink()
    stack = _stack_name(environment)
    try:
        client = client or boto3.client("cloudformation")
        described = client.describe_stacks(StackName=stack)["Stacks"][0]
        body = client.get_template(StackName=stack, TemplateStage="Original")["TemplateBody"]
    except (BotoCoreError, ClientError) as error:
        if "does not exist" in str(error):
            return False
        raise SystemExit(f"AWS does not say what runs in {environment}: {error}") from None
    folder.mkdir(parents=True, exist_ok=True)
    parameters = {one["ParameterKey"]: one["ParameterValue"] for one in described["Parameters"]}
    (folder / "parameters.json").write_text(json.dumps(parameters, indent=1))
    text = body if isinstance(body, str) else json.dumps(body)
    (folder / "template.yaml").write_text(text)
    return True


def command(environment: str) -> list[str]:
    """Return the command line that brings back what was kept.

    Raises:
        SystemExit: nothing was.

    """
    folder = kept_at(environment)
    template = folder / "template.yaml"
    if not template.exists():
        raise SystemExit(
            f"Nothing is kept of {environment}: it was not deployed from here, or there was "
            "nothing before. Check out the commit that is to run, and make deploy."
        )
    kept = json.loads((folder / "parameters.json").read_text())
    parameters = {name: value for name, value in kept.items() if value != HIDDEN}
    if "ReleaseId" in parameters:
        # A new one, as with any deployment: else aliases would stay where they are.
        parameters["ReleaseId"] = secrets.token_hex(5)
    line = sam_deploy(environment, parameters)
    return [*line[:2], "--template-file", str(template), *line[2:]]


def _stack_name(environment: str) -> str:
    sections = tomllib.loads((ROOT / "samconfig.toml").read_text())
    return str(sections[environment]["deploy"]["parameters"]["stack_name"])


def main() -> None:
    """Deploy what was kept."""
    if len(sys.argv) != 2:
        raise SystemExit("Which environment? make rollback ENV=production")
    line = command(sys.argv[1])
    os.execv(line[0], line)  # noqa: S606 a list of words, no shell wanted


if __name__ == "__main__":
    main()
