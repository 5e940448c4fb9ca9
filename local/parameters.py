"""What template.yaml is given on this machine, and the secrets that the parameters name."""

import subprocess
import time

from fieldgate.tokens import new_signing_key
from local import template as sam
from local.cloud import Cloud
from local.stack_settings import StackSettings
from local.template import ROOT


def create_parameters(settings: StackSettings, cloud: Cloud, database_url: str) -> dict[str, str]:
    """Put the secrets and keys where functions look for them; return the template's parameters.

    The signing key is made anew. `database_url` is as functions reach it.
    """
    signing_key, public_key = new_signing_key()
    vault = cloud.client("secretsmanager")
    database_secret = vault.create_secret(Name="fieldgate/database", SecretString=database_url)
    signing_secret = vault.create_secret(Name="fieldgate/signing-key", SecretString=signing_key)
    jwks_parameter = "/fieldgate/local/jwks"
    cloud.client("ssm").put_parameter(
        Name=jwks_parameter, Value=f'{{"keys": [{public_key}]}}', Type="String"
    )
    return sam.read_parameters("local") | {
        "DatabaseSecretArn": database_secret["ARN"],
        "SigningKeySecretArn": signing_secret["ARN"],
        "PublicKeysParameter": jwks_parameter,
        "TokenIssuer": settings.url,
        "StorageEndpoint": settings.storage_url,
        "CommitSha": current_commit(),
        "BuildDate": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def current_commit() -> str:
    """Return the short id of what is checked out, "unknown" outside a repository."""
    asked = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.stdout.strip() or "unknown"
