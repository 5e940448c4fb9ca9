"""What is said otherwise of a WebSocket API where the local cloud stands in for API Gateway."""

from local import template as sam
from local.api_resources import UnsupportedLocally
from local.template import Template

_API = "AWS::ApiGatewayV2::Api"
_AUTHORIZER = "AWS::ApiGatewayV2::Authorizer"
_ROUTE_RESPONSE = "AWS::ApiGatewayV2::RouteResponse"
_FUNCTION = "AWS::Lambda::Function"
_ENDPOINT = "REALTIME_ENDPOINT"


def adapt_websocket_apis(template: Template) -> None:
    """Have the local cloud do with the WebSocket APIs of `template` what API Gateway does."""
    apis = [name for name, properties in sam.resources(template, _API) if _is_websocket(properties)]
    for name in apis:
        # Of an expression that reads the frame this cloud dies when the frame is nested deeply; of
        # this one it makes $default, which is the one route that messages have.
        _check_only_default(template, name)
        template["Resources"][name]["Properties"]["RouteSelectionExpression"] = "$default"
    for _, properties in sam.resources(template, _AUTHORIZER):
        if properties["ApiId"].get("Ref") in apis:
            # It would take the header to be wanted, and refuse who has the token in the address.
            properties.setdefault("IdentitySource", [])
    # It has no such resource: what a function returns always goes to the client.
    template["Resources"] = {
        name: resource
        for name, resource in template["Resources"].items()
        if resource["Type"] != _ROUTE_RESPONSE
    }


def call_back_at(template: Template, cloud_url: str) -> None:
    """Have functions reach connections at the local cloud: the stage stays the one they know."""
    for _, properties in sam.resources(template, _FUNCTION):
        variables = properties["Environment"]["Variables"]
        if _ENDPOINT in variables:
            # https://${Api}.execute-api.(region and domain)/stage
            host, _, stage = variables[_ENDPOINT]["Fn::Sub"].removeprefix("https://").partition("/")
            api = host.partition(".")[0]
            variables[_ENDPOINT] = {"Fn::Sub": f"{cloud_url}/_aws/execute-api/{api}/{stage}"}


def _is_websocket(properties: dict[str, object]) -> bool:
    return properties.get("ProtocolType") == "WEBSOCKET"


def _check_only_default(template: Template, api: str) -> None:
    routes = sam.resources(template, "AWS::ApiGatewayV2::Route")
    keys = {
        properties["RouteKey"] for _, properties in routes if properties["ApiId"].get("Ref") == api
    }
    if others := keys - {"$connect", "$disconnect", "$default"}:
        names = ", ".join(sorted(others))
        raise UnsupportedLocally(f"{api}: routes of messages other than $default: {names}")
