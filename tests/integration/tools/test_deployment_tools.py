"""What `make keys` and `make deploy` work with."""

import json
import stat
from pathlib import Path
from uuid import uuid4

import jwt
import pytest

from fieldgate import settings, tokens
from local.template import read_parameters, read_template
from tools.deploy_to_aws import command
from tools.signing_keys import write_keys


def test_given_parameters_complete_those_of_the_environment(
    tmp_path: Path,
) -> None:
    (tmp_path / "ca.pem").write_text("-----BEGIN X-----\nline one\n-----END X-----\n")
    given = ["DatabaseSecretArn=arn:aws:x=y", f"DatabaseCaCert=@{tmp_path}/ca.pem"]
    line = command("staging", [*given, "WebOrigin=https://other.example"])
    assert line[1:4] == ["deploy", "--config-env", "staging"]
    printed = {
        name: value.removeprefix('"').removesuffix('"')
        for name, _, value in (
            pair.partition("=") for pair in line[line.index("--parameter-overrides") + 1 :]
        )
    }
    assert printed["DatabaseCaCert"] == (tmp_path / "ca.pem").read_text()
    assert printed["DatabaseSecretArn"] == "arn:aws:x=y"
    assert printed["WebOrigin"] == "https://other.example"
    assert printed["TracingMode"] == read_parameters("staging")["TracingMode"]
    assert {"CommitSha", "BuildDate"} <= printed.keys() <= read_template()["Parameters"].keys()


def test_the_keys_made_sign_and_verify(tmp_path: Path, environment: pytest.MonkeyPatch) -> None:
    private, public = write_keys(tmp_path / "new")
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert "private" not in public.read_text()
    environment.setenv("JWT_SIGNING_KEY", private.read_text())
    environment.setenv("JWT_PUBLIC_KEYS", public.read_text())
    settings.forget()
    subject = tokens.Subject(uuid4(), [], [], 1, uuid4())
    token = tokens.issue(subject).text
    assert tokens.verify(token)["sub"] == str(subject.user_id)
    assert jwt.get_unverified_header(token)["kid"] == json.loads(private.read_text())["kid"]


@pytest.mark.parametrize(
    ("environment", "given", "complaint"),
    [
        ("stagging", [], "no environment 'stagging'"),
        ("dev", ["WebOrigin"], "not NAME=value"),
        ("dev", ["ReserveSignin=0"], "'ReserveSignin=0' is not NAME=value of a parameter"),
    ],
)
def test_a_mistake_is_said_plainly(environment: str, given: list[str], complaint: str) -> None:
    with pytest.raises(SystemExit, match=complaint):
        command(environment, given)
