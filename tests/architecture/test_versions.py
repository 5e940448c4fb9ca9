"""The functions most used have versions, so that a deployment can be tried and taken back."""

import json
import re
from typing import Any

import pytest

from local import template as sam
from local.template import Template
from local.versions import ALIAS, OF_VERSIONS, call_functions_themselves
from tests.support.metrics import watched_by
from tools.expanded_template import PARAMETERS

CANARIES = {
    *("Authorize", "Login", "RefreshTokens", "SendOtp", "VerifyOtp", "Register"),
    *("AuthorizeConnection", "OnConnect", "OnMessage"),
    *("PresignUpload", "CreateUpload", "SignChunks", "CompleteUpload"),
    *("GetMedia", "ListMedia", "ListEvents", "CheckHealth"),
}
DEPLOYING_ALARMS = ["CanarySignInErrorsAlarm", "CanaryFieldErrorsAlarm", "UnexpectedErrorsAlarm"]


def expanded_with(source: Template, **parameters: str) -> Template:
    keys = {name: f"{name}.zip" for name, _ in sam.resources(source, sam.LAYER)}
    packaged = sam.with_artifacts(source, {"functions": "functions.zip", **keys})
    return sam.expand(packaged, sam.read_parameters("staging") | PARAMETERS | parameters)


def aliases(template: Template) -> dict[str, str]:
    """Return the functions that have an alias, and its logical id."""
    return {
        properties["FunctionName"]["Ref"]: name
        for name, properties in sam.resources(template, ALIAS)
    }


def test_the_functions_most_used_have_one_alias(deployed: Template) -> None:
    assert aliases(deployed).keys() == CANARIES
    assert {properties["Name"] for _, properties in sam.resources(deployed, ALIAS)} == {"live"}


def test_who_calls_a_function_with_versions_calls_the_one_in_use(deployed: Template) -> None:
    """Past its alias a function would be new at once, and be called without a permission."""
    callers = {
        name: resource
        for name, resource in deployed["Resources"].items()
        if resource["Type"].startswith("AWS::ApiGatewayV2::")
        or resource["Type"] == "AWS::Lambda::Permission"
    }
    said = json.dumps(callers)
    for function, alias in aliases(deployed).items():
        assert re.search(rf"\b{alias}\b", said), function
        assert f"${{{function}.Arn}}" not in said
        assert json.dumps({"Ref": function}) not in said
        assert json.dumps({"Fn::GetAtt": [function, "Arn"]}) not in said
    # Schedules and queues name the function itself.
    for kind in ("AWS::Scheduler::Schedule", "AWS::Lambda::EventSourceMapping"):
        for name, properties in sam.resources(deployed, kind):
            assert not CANARIES & set(re.findall(r"\w+", json.dumps(properties))), name


def test_a_new_version_is_tried_and_taken_back_by_alarms(deployed: Template) -> None:
    for function, alias in aliases(deployed).items():
        group = deployed["Resources"][f"{function}DeploymentGroup"]["Properties"]
        assert group["AlarmConfiguration"] == {
            "Enabled": True,
            "Alarms": [{"Name": {"Ref": name}} for name in DEPLOYING_ALARMS],
        }
        assert group["AutoRollbackConfiguration"]["Enabled"] is True
        assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
        assert "CodeDeployLambdaAliasUpdate" in deployed["Resources"][alias]["UpdatePolicy"]


def test_the_alarms_watch_every_alias(deployed: Template) -> None:
    watched = [
        metric
        for name in DEPLOYING_ALARMS[:2]
        for metric in watched_by(deployed["Resources"][name]["Properties"])
    ]
    assert {metric.name for metric in watched} == {"Errors"}
    functions = [metric.dimensions["FunctionName"]["Ref"] for metric in watched]
    assert sorted(functions) == sorted(CANARIES)
    for function, metric in zip(functions, watched, strict=True):
        assert metric.dimensions["Resource"] == {"Fn::Sub": f"${{{function}}}:live"}


def test_no_alarm_that_deploys_waits_for_what_it_deploys(deployed: Template) -> None:
    """An alarm that names the API would need the API, which needs the aliases: a circle."""
    for name in DEPLOYING_ALARMS:
        said = json.dumps(deployed["Resources"][name])
        assert "HttpApi" not in said
        assert "Alias" not in said


def test_off_nothing_is_tried_and_all_else_is_the_same(
    source: Template, deployed: Template
) -> None:
    off = expanded_with(source, CanaryDeployment="false")
    added = deployed["Resources"].keys() - off["Resources"].keys()
    assert not off["Resources"].keys() - deployed["Resources"].keys()
    assert {deployed["Resources"][name]["Type"] for name in added} == {
        *("AWS::CodeDeploy::Application", "AWS::CodeDeploy::DeploymentGroup", "AWS::IAM::Role")
    }
    for name, resource in off["Resources"].items():
        with_it = dict(deployed["Resources"][name])
        with_it.pop("UpdatePolicy", None)
        assert resource == with_it, name


def test_each_deployment_publishes(source: Template, deployed: Template) -> None:
    """Else a new setting, or a new layer, would not reach who calls an alias."""
    again = expanded_with(source, ReleaseId="abcdefghij")
    before, after = (
        {name for name, _ in sam.resources(template, "AWS::Lambda::Version")}
        for template in (deployed, again)
    )
    assert len(before) == len(after) == len(CANARIES)
    assert not before & after
    for function in CANARIES:
        # Lambda publishes nothing where nothing has changed, and CloudFormation then fails.
        assert again["Resources"][function]["Properties"]["Description"].endswith("abcdefghij")
    # A version that is no longer in use is neither kept nor paid for.
    assert {deployed["Resources"][name]["DeletionPolicy"] for name in before} == {"Delete"}


def test_snapshots_are_taken_where_it_is_said(deployed: Template) -> None:
    for name, function in sam.resources(deployed, "AWS::Lambda::Function"):
        wanted = {"ApplyOn": {"Fn::If": ["SnapStarts", "PublishedVersions", "None"]}}
        assert function.get("SnapStart") == (wanted if name in CANARIES else None)
    for parameter in ("SnapStart", "CanaryDeployment"):
        assert deployed["Parameters"][parameter]["Default"] == "false"


@pytest.mark.parametrize("canary", ["true", "false"])
def test_what_is_left_out_on_one_machine_was_another_name_for_the_function(
    source: Template, canary: str
) -> None:
    whole = expanded_with(source, CanaryDeployment=canary)
    local: Template = json.loads(json.dumps(whole))
    call_functions_themselves(local)
    gone = whole["Resources"].keys() - local["Resources"].keys()
    types = {whole["Resources"][name]["Type"] for name in gone}
    assert types <= OF_VERSIONS | {"AWS::IAM::Role"}
    said = json.dumps(local)
    assert not {name for name in gone if re.search(rf"\b{name}\b", said)}
    # What called an alias calls its function, and no function is another.
    body = local["Resources"]["HttpApi"]["Properties"]["Body"]
    assert "functions/${Login.Arn}/invocations" in json.dumps(body["paths"])
    scheme: dict[str, Any] = body["components"]["securitySchemes"]["TokenAuthorizer"]
    assert json.dumps({"Fn::GetAtt": ["Authorize", "Arn"]}) in json.dumps(scheme)
    for name, resource in whole["Resources"].items():
        if resource["Type"] == "AWS::Lambda::Function":
            assert local["Resources"][name] == resource
