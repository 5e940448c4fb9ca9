"""template.yaml and the source tree say the same, and nothing is left without an owner."""

import ast
import json
import re
from typing import Any

import pytest

from local import template as sam
from local.api_resources import UnsupportedLocally, expand_http_apis
from local.conditions import leave_out_conditional
from local.supported import check_supported, leave_out_without_effect
from local.template import ROOT, Template
from local.versions import call_functions_themselves
from local.websocket_api import adapt_websocket_apis
from tests.support.template import of_type, routes_of

# Every route that answers without a token, and why it must.
PUBLIC = {
    "POST /api/v1/auth/login": "whoever logs in has no token yet",
    "POST /api/v1/auth/register": "whoever registers has no token yet",
    "POST /api/v1/auth/refresh": "the access token may have expired; the refresh token proves",
    "POST /api/v1/auth/password": "whoever forgot the password has no token; the code proves",
    "POST /api/v1/otp/resend": "whoever waits for a code has no token yet",
    "POST /api/v1/otp/verify": "the code proves",
    "POST /api/v1/otp/delivery-reports/{secret}": "the provider's; the end of the path proves",
    "GET /.well-known/jwks.json": "public keys, for whoever verifies our tokens",
    "GET /health": "monitors have no account",
    "GET /health/version": "monitors have no account",
    "GET /health/signalr": "monitors have no account",
    "GET /health/realtime": "monitors have no account",
    "GET /generate_204": "a phone asks it before it trusts the network",
    "HEAD /generate_204": "a phone asks it before it trusts the network",
    "$default": "says 404 to whatever no function has",
}


def test_every_entry_has_a_module_and_every_module_an_entry(source: Template) -> None:
    entries = {properties["Handler"] for _, properties in sam.resources(source, sam.FUNCTION)}
    modules = set()
    for path in (ROOT / "functions").rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            targets = node.targets if isinstance(node, ast.Assign) else [node]
            names = {getattr(target, "id", getattr(target, "name", None)) for target in targets}
            if "handler" in names:
                module = path.relative_to(ROOT / "functions").with_suffix("")
                modules.add(f"{'.'.join(module.parts)}.handler")
    assert entries == modules


def test_every_route_has_an_authorizer_or_a_reason(resources: dict[str, dict[str, Any]]) -> None:
    routes = routes_of(resources, "HttpApi")
    open_routes = {key for key, route in routes.items() if "AuthorizerId" not in route}
    assert open_routes == set(PUBLIC)
    assert all(
        route["AuthorizationType"] == "CUSTOM" for key, route in routes.items() if key not in PUBLIC
    )


def test_nobody_connects_without_the_authorizer(resources: dict[str, dict[str, Any]]) -> None:
    routes = routes_of(resources, "RealtimeApi")
    # A connection that was let in stays who it was.
    assert routes.keys() == {"$connect", "$disconnect", "$default"}
    assert routes["$connect"]["AuthorizationType"] == "CUSTOM"
    assert routes["$connect"]["AuthorizerId"] == {"Ref": "RealtimeAuthorizer"}
    # With an identity source API Gateway would refuse a token that comes the other way.
    assert "IdentitySource" not in resources["RealtimeAuthorizer"]["Properties"]


def test_http_functions_answer_before_the_gateway_gives_up(
    resources: dict[str, dict[str, Any]],
) -> None:
    for integration in of_type(resources, "AWS::ApiGatewayV2::Integration").values():
        match integration["IntegrationUri"]["Fn::Sub"]:
            case [_, {"live": {"Fn::GetAtt": [name, "Arn"]}}]:
                pass
            case uri:
                name = uri.rpartition("${")[2].partition(".Arn")[0]
        # The database may take 9 s to say that it is down.
        assert 10 < resources[name]["Properties"].get("Timeout", 3) + 0.5 < 30


def test_the_template_stays_well_under_the_limit_of_resources(deployed: Template) -> None:
    # CloudFormation takes 500. What to do when these are used up: docs/decisions/0021.
    assert len(deployed["Resources"]) < 450


@pytest.mark.parametrize("environment", ["local", "dev", "staging", "production"])
def test_every_environment_has_its_parameters(source: Template, environment: str) -> None:
    given = sam.read_parameters(environment)
    assert given["Environment"] == environment
    assert given.keys() <= source["Parameters"].keys()


def test_the_schema_is_there_before_the_code_that_needs_it(
    resources: dict[str, dict[str, Any]],
) -> None:
    for name, function in of_type(resources, "AWS::Lambda::Function").items():
        role = resources[function["Role"]["Fn::GetAtt"][0]]["Properties"]
        if {"Ref": "ReadDatabaseSecret"} in role["ManagedPolicyArns"] and name != "Migrate":
            assert resources[name]["DependsOn"] == "SchemaMigration"
    migration = resources["SchemaMigration"]["Properties"]
    # Else a deployment with a new migration would find nothing changed, and not run it.
    assert resources[migration["Migrations"]["Ref"]]["Properties"]["LayerName"] == "MigrationsLayer"


def test_with_its_routes_written_out_the_template_is_not_too_large_for_the_local_cloud(
    resources: dict[str, dict[str, Any]],
) -> None:
    # No database is made here: its condition doesn't hold (local/conditions.py).
    made = {name: one for name, one in resources.items() if one["Type"] != sam.NESTED_STACK}
    template = {"Resources": made}
    leave_out_without_effect(template)
    assert len(template["Resources"]) < 450
    left_out = made.keys() - template["Resources"].keys()
    assert left_out
    left = json.dumps(template)
    assert not {name for name in left_out if re.search(rf"\b{name}\b", left)}


def test_a_function_is_bounded_for_a_reason_and_the_rest_of_the_account_is_left_alone(
    source: Template,
) -> None:
    """Lambda keeps 100 for those without a bound, and refuses to reserve more."""
    bounds: dict[str, set[str]] = {}
    for name, function in sam.resources(source, sam.FUNCTION):
        if bound := function.get("ReservedConcurrentExecutions"):
            condition, reference, otherwise = bound["Fn::If"]
            assert condition == f"Reserves{reference['Ref'].removeprefix('Reserve')}"
            assert otherwise == {"Ref": "AWS::NoValue"}
            bounds.setdefault(reference["Ref"], set()).add(name)
    page = (ROOT / "docs/operations.md").read_text()
    reserved = 0
    for parameter, functions in bounds.items():
        (row,) = (line for line in page.splitlines() if line.startswith(f"| `{parameter}` |"))
        assert set(re.findall(r"`([A-Z]\w+)`", row)) - {parameter} == functions
        reserved += len(functions) * source["Parameters"][parameter]["Default"]
    assert reserved <= 300
    # Else a queue would hand over what is then refused.
    mapping = source["Resources"]["OnMediaUploaded"]["Properties"]["Events"]["MediaUploaded"]
    most = mapping["Properties"]["ScalingConfig"]["MaximumConcurrency"]
    assert source["Parameters"]["ReserveWorkers"]["Default"] >= most


def test_an_unknown_property_stops_the_local_deployment_by_name(deployed: Template) -> None:
    template: Template = json.loads(json.dumps(deployed))
    leave_out_conditional(template, {"DatabaseSecretArn": "arn:of-one-that-is-there"})
    call_functions_themselves(template)
    expand_http_apis(template)
    adapt_websocket_apis(template)
    check_supported(template)
    queue = template["Resources"]["MediaUploadedQueue"]["Properties"]
    queue["ReceiveMessageWaitTimeSeconds"] = 20
    template["Resources"]["Table"] = {"Type": "AWS::DynamoDB::Table"}
    with pytest.raises(UnsupportedLocally) as refusal:
        check_supported(template)
    assert "MediaUploadedQueue (AWS::SQS::Queue): ReceiveMessageWaitTimeSeconds" in str(
        refusal.value
    )
    assert "Table: resources of type AWS::DynamoDB::Table" in str(refusal.value)


def test_every_function_has_a_sample_event(source: Template) -> None:
    functions = {
        properties["Handler"].split(".")[1] for _, properties in sam.resources(source, sam.FUNCTION)
    }
    assert {path.stem for path in (ROOT / "events").glob("*.json")} == functions
