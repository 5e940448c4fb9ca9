"""What template.yaml is given on this machine, and the secrets that the parameters name."""

import os
import secrets
import shlex
import subprocess
import time
from dataclasses import dataclass

from fieldgate.tokens import new_signing_key
from local import template as sam
from local.child import ServerFailed
from local.cloud import Cloud
from local.stack_settings import StackSettings
from local.template import ROOT


@dataclass(frozen=True)
class SmsAccess:
    """How functions reach the stand-in for Africa's Talking, and it them."""

    url: str
    api_key: str
    report_secret: str


@dataclass(frozen=True)
class FirebaseAccess:
    """How functions reach the stand-in for FCM, and whose key they do it with."""

    url: str
    project_id: str
    service_account: str


def create_parameters(
    settings: StackSettings,
    cloud: Cloud,
    database_url: str,
    cache_url: str,
    sms: SmsAccess,
    firebase: FirebaseAccess,
) -> dict[str, str]:
    """Put the secrets and keys where functions look for them; return the template's parameters.

    Keys and secrets are made anew. The addresses are as functions reach them. What `PARAMETERS`
    holds ("Name=value Other=value") goes before anything else.

    Raises:
        ServerFailed: `PARAMETERS` names what is no parameter.

    """
    signing_key, public_key = new_signing_key()
    vault = cloud.client("secretsmanager")

    def keep(name: str, secret: str) -> str:
        arn: str = vault.create_secret(Name=f"fieldgate/{name}", SecretString=secret)["ARN"]
        return arn

    jwks_parameter = "/fieldgate/local/jwks"
    cloud.client("ssm").put_parameter(
        Name=jwks_parameter, Value=f'{{"keys": [{public_key}]}}', Type="String"
    )
    return (
        sam.read_parameters("local")
        | {
            "DatabaseSecretArn": keep("database", database_url),
            "SigningKeySecretArn": keep("signing-key", signing_key),
            "PepperSecretArn": keep("pepper", secrets.token_urlsafe(32)),
            "PublicKeysParameter": jwks_parameter,
            "CacheUrl": cache_url,
            "TokenIssuer": settings.url,
            "StorageEndpoint": settings.storage_url,
            "AfricasTalkingUrl": sms.url,
            "AfricasTalkingKeySecretArn": keep("sms-key", sms.api_key),
            "DeliveryReportSecretArn": keep("delivery-report-secret", sms.report_secret),
            "FirebaseProjectId": firebase.project_id,
            "FirebaseCredentialsSecretArn": keep("firebase", firebase.service_account),
            "FirebaseUrl": firebase.url,
            "CommitSha": current_commit(),
            "BuildDate": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        | chosen(os.environ.get("PARAMETERS", ""))
    )


def chosen(text: str) -> dict[str, str]:
    """Read "Name=value Other=value", values quoted as in a shell.

    Raises:
        ServerFailed: it names what is no parameter.

    """
    known = sam.read_template()["Parameters"]
    values = {}
    for pair in shlex.split(text):
        name, equals, value = pair.partition("=")
        if not equals or name not in known:
            raise ServerFailed(f"PARAMETERS: {pair!r} is not Name=value of a template's parameter.")
        values[name] = value
    return values


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
