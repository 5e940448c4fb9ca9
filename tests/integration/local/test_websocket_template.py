"""What a template's WebSocket API and its conditions come to on the local cloud."""

import json
from typing import Any

import pytest

from local import template as sam
from local.api_resources import UnsupportedLocally
from local.conditions import leave_out_conditional
from local.supported import check_supported
from local.versions import call_functions_themselves
from local.websocket_api import adapt_websocket_apis, call_back_at
from tools.expanded_template import expanded

CLOUD = "http://127.0.0.1:4566"


def api(**others: Any) -> sam.Template:
    def of_it(kind: str, **properties: Any) -> dict[str, Any]:
        return {
            "Type": f"AWS::ApiGatewayV2::{kind}",
            "Properties": {"ApiId": {"Ref": "Hub"}} | properties,
        }

    return {
        "Resources": {
            "Hub": {
                "Type": "AWS::ApiGatewayV2::Api",
                "Properties": {
                    "ProtocolType": "WEBSOCKET",
                    "RouteSelectionExpression": "$request.body.action",
                },
            },
            "Web": {"Type": "AWS::ApiGatewayV2::Api", "Properties": {"ProtocolType": "HTTP"}},
            "Gate": of_it("Authorizer", AuthorizerType="REQUEST"),
            "Strict": of_it("Authorizer", IdentitySource=["route.request.header.Authorization"]),
            "Default": of_it("Route", RouteKey="$default"),
            "DefaultResponse": of_it("RouteResponse", RouteResponseKey="$default"),
        }
        | others
    }


def properties(template: sam.Template, name: str) -> dict[str, Any]:
    found: dict[str, Any] = template["Resources"][name]["Properties"]
    return found


def test_no_frame_is_looked_into_to_choose_its_route() -> None:
    template = api()
    adapt_websocket_apis(template)
    assert properties(template, "Hub")["RouteSelectionExpression"] == "$default"
    assert "RouteSelectionExpression" not in properties(template, "Web")


def test_an_authorizer_without_identity_source_has_none() -> None:
    template = api()
    adapt_websocket_apis(template)
    assert properties(template, "Gate")["IdentitySource"] == []
    assert properties(template, "Strict")["IdentitySource"]


def test_answers_of_routes_need_no_resource() -> None:
    template = api()
    adapt_websocket_apis(template)
    assert "DefaultResponse" not in template["Resources"]
    assert "Default" in template["Resources"]


def test_a_route_that_the_frame_would_choose_is_told_plainly() -> None:
    route = {"ApiId": {"Ref": "Hub"}, "RouteKey": "subscribe"}
    template = api(Subscribe={"Type": "AWS::ApiGatewayV2::Route", "Properties": route})
    with pytest.raises(UnsupportedLocally, match=r"Hub: .*other than \$default: subscribe"):
        adapt_websocket_apis(template)


def test_functions_reach_connections_at_the_local_cloud() -> None:
    def function(**variables: Any) -> dict[str, Any]:
        environment = {"Environment": {"Variables": variables}}
        return {"Type": "AWS::Lambda::Function", "Properties": environment}

    address = "https://${Hub}.execute-api.${AWS::Region}.${AWS::URLSuffix}/live"
    template = api(
        Sends=function(REALTIME_ENDPOINT={"Fn::Sub": address}), Other=function(LOG_LEVEL="INFO")
    )
    call_back_at(template, CLOUD)
    variables = properties(template, "Sends")["Environment"]["Variables"]
    expected = {"Fn::Sub": f"{CLOUD}/_aws/execute-api/${{Hub}}/live"}
    assert variables == {"REALTIME_ENDPOINT": expected}
    assert properties(template, "Other")["Environment"]["Variables"] == {"LOG_LEVEL": "INFO"}


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"Fn::Equals": [{"Ref": "Join"}, "true"]}, False),
        ({"Fn::Not": [{"Fn::Equals": [{"Ref": "Join"}, "true"]}]}, True),
        ({"Fn::Equals": [{"Fn::Join": ["", {"Ref": "Subnets"}]}, "ab"]}, True),
        ({"Fn::And": [{"Condition": "Given"}, {"Fn::Equals": ["a", "b"]}]}, False),
        ({"Fn::Or": [{"Condition": "Given"}, {"Fn::Equals": ["a", "b"]}]}, True),
    ],
)
def test_what_a_condition_rules_out_is_left_out(condition: dict[str, Any], holds: bool) -> None:
    template = {
        "Parameters": {"Join": {"Default": "false"}, "Subnets": {}},
        "Conditions": {"It": condition, "Given": {"Fn::Equals": [{"Ref": "Subnets"}, "a, b"]}},
        "Resources": {"Thing": {"Type": "T", "Condition": "It"}, "Always": {"Type": "T"}},
        "Outputs": {"Name": {"Condition": "It", "Value": "n"}},
    }
    leave_out_conditional(template, {"Subnets": "a, b"})
    assert ("Thing" in template["Resources"], "Name" in template["Outputs"]) == (holds, holds)
    assert "Always" in template["Resources"]


def test_a_condition_that_is_not_understood_is_no_guess() -> None:
    template = {
        "Conditions": {"It": {"Fn::Contains": [["a"], "a"]}},
        "Resources": {"Thing": {"Type": "T", "Condition": "It"}},
    }
    with pytest.raises(ValueError, match="Fn::Contains"):
        leave_out_conditional(template, {})


def test_the_template_can_be_deployed_here_without_its_distribution() -> None:
    template = expanded()
    # What names a database: the stack gives the local one's.
    parameters = sam.read_parameters("local") | {"DatabaseSecretArn": "arn:aws:secretsmanager:::db"}
    leave_out_conditional(template, parameters)
    call_functions_themselves(template)
    adapt_websocket_apis(template)
    call_back_at(template, CLOUD)
    for _, found in sam.resources(template, "AWS::ApiGatewayV2::Api"):
        found.pop("Body", None)
        found.pop("FailOnWarnings", None)
    check_supported(template)
    assert "cloudfront" not in json.dumps(template["Resources"]).lower()
    assert CLOUD in json.dumps(template)
