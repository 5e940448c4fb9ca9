import subprocess
import sys
from pathlib import Path

import pytest

from fieldgate.credentials import role_credentials
from fieldgate.errors import ConfigurationError
from fieldgate.sigv4 import Credentials


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def test_the_roles_keys_stand_in_the_environment_and_are_read_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ASIAFIELDGATE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert role_credentials() == Credentials("ASIAFIELDGATE", "secret")

    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-token")
    assert role_credentials() == Credentials("ASIAFIELDGATE", "secret", "a-token")


def test_without_keys_in_the_environment_botocores_chain_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Found:
        def get_frozen_credentials(self) -> Credentials:
            return Credentials("chain-key", "chain-secret", "chain-token")

    monkeypatch.setattr("fieldgate.credentials._botocore_credentials", Found)

    assert role_credentials() == Credentials("chain-key", "chain-secret", "chain-token")


def test_no_credentials_at_all_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fieldgate.credentials._botocore_credentials", lambda: None)

    with pytest.raises(ConfigurationError, match="no AWS credentials"):
        role_credentials()


def test_the_roles_keys_and_a_signature_import_neither_boto3_nor_botocore() -> None:
    script = """
import sys
from datetime import UTC, datetime
from fieldgate.credentials import role_credentials
from fieldgate.sigv4 import signed_headers
headers = signed_headers(
    "POST", "https://example.org/a", b"", service="execute-api", region="eu-west-1",
    credentials=role_credentials(), now=datetime.now(UTC),
)
assert headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=ASIAFIELDGATE/")
assert not {"boto3", "botocore", "pydantic", "sqlalchemy"} & set(sys.modules)
"""
    environment = {
        "PYTHONPATH": str(Path("layers/common").resolve()),
        "AWS_ACCESS_KEY_ID": "ASIAFIELDGATE",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }
    subprocess.run([sys.executable, "-c", script], check=True, env=environment)
