"""What ran is kept before each deployment, and brought back as it was."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from tools import roll_back
from tools.deploy_to_aws import command as deployment
from tools.sam_deploy import sam_deploy

STACK = {"StackName": "fieldgate-staging"}
TEMPLATE = "Resources: {Layer: {Properties: {ContentUri: s3://artifacts/0123}}}\n"
RUNNING = {"DatabaseSecretArn": "arn:aws:x", "OtpFixedCodes": '{"a": 1}', "Key": roll_back.HIDDEN}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(roll_back, "kept_at", lambda environment: tmp_path / environment)
    monkeypatch.delenv("CLOUDFORMATION_ROLE_ARN", raising=False)
    monkeypatch.delenv("CI", raising=False)
    return tmp_path


@pytest.fixture
def cloudformation() -> Iterator[Stubber]:
    client = boto3.client(
        "cloudformation",
        region_name="af-south-1",
        aws_access_key_id="none",
        aws_secret_access_key="none",
    )
    with Stubber(client) as stub:
        yield stub


def runs(stub: Stubber) -> None:
    """Have the stack answer with RUNNING and TEMPLATE."""
    parameters = [{"ParameterKey": n, "ParameterValue": v} for n, v in RUNNING.items()]
    stack: dict[str, Any] = {
        **STACK,
        "CreationTime": "2026-01-10T10:00:00Z",
        "StackStatus": "UPDATE_COMPLETE",
        "Parameters": parameters,
    }
    stub.add_response("describe_stacks", {"Stacks": [stack]}, STACK)
    asked = STACK | {"TemplateStage": "Original"}
    stub.add_response("get_template", {"TemplateBody": TEMPLATE}, asked)


def test_what_ran_comes_back_with_its_code_and_its_parameters(
    here: Path, cloudformation: Stubber
) -> None:
    runs(cloudformation)
    assert roll_back.keep("staging", cloudformation.client)

    line = roll_back.command("staging")

    template = line[line.index("--template-file") + 1]
    assert Path(template).read_text() == TEMPLATE
    assert line[1] == "deploy"
    assert line[line.index("--config-env") + 1] == "staging"
    overrides = line[line.index("--parameter-overrides") + 1 :]
    assert overrides == ['DatabaseSecretArn="arn:aws:x"', 'OtpFixedCodes="{\\"a\\": 1}"']


def test_before_the_first_deployment_there_is_nothing_to_keep(
    here: Path, cloudformation: Stubber
) -> None:
    (here / "staging").mkdir()
    (here / "staging/template.yaml").write_text("of another account")
    (here / "staging/parameters.json").write_text(json.dumps({}))
    cloudformation.add_client_error(
        "describe_stacks", "ValidationError", "Stack with id fieldgate-staging does not exist"
    )
    assert not roll_back.keep("staging", cloudformation.client)
    with pytest.raises(SystemExit, match="Nothing is kept of staging"):
        roll_back.command("staging")


def test_without_leave_to_ask_nothing_is_deployed(cloudformation: Stubber) -> None:
    cloudformation.add_client_error("describe_stacks", "AccessDenied", "not authorized")
    with pytest.raises(SystemExit, match="not authorized"):
        roll_back.keep("staging", cloudformation.client)


def test_the_pipeline_is_asked_nothing_and_lends_its_role(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "--no-confirm-changeset" not in deployment("production", [])
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("CLOUDFORMATION_ROLE_ARN", "arn:aws:iam::111122223333:role/deploys")
    line = deployment("production", ["DatabaseHost=db.example.org"])
    assert "--no-confirm-changeset" in line
    assert line[line.index("--role-arn") + 1] == "arn:aws:iam::111122223333:role/deploys"
    assert 'DatabaseHost="db.example.org"' in line
    assert 'Environment="production"' in line


def test_a_value_arrives_as_it_was_given() -> None:
    """Or not at all: of these sam makes others."""
    line = sam_deploy("staging", {"Pattern": r"\d+ \w", "Quoted": '{"a": 1}'})
    assert line[-2:] == [r'Pattern="\d+ \w"', r'Quoted="{\"a\": 1}"']
    for value in ("C:\\", r"a\ b", r"a\"b", r"a\'b"):
        with pytest.raises(SystemExit, match="Path"):
            sam_deploy("staging", {"Path": value})
