"""From an HTTP API's OpenAPI body to the resources it stands for.

AWS reads routes, integrations and authorizers out of the `Body` that SAM writes; the local cloud
deploys such an API without any route, so they are written out for it.
"""

from typing import Any

from local.child import ServerFailed
from local.template import Template

_METHODS = {"get", "head", "post", "put", "delete", "patch", "options"}
_ANY = "x-amazon-apigateway-any-method"
_INTEGRATION = "x-amazon-apigateway-integration"


class UnsupportedLocally(ServerFailed):
    """The template says something that the local cloud would silently do without."""


def expand_http_apis(template: Template) -> None:
    """Replace the `Body` of each HTTP API in `template` by resources of their own."""
    for api_id, resource in list(template["Resources"].items()):
        if resource["Type"] == "AWS::ApiGatewayV2::Api" and "Body" in resource["Properties"]:
            template["Resources"] |= _resources(api_id, resource["Properties"])


def _resources(api_id: str, properties: dict[str, Any]) -> Template:
    body = properties.pop("Body")
    properties.pop("FailOnWarnings", None)
    properties |= {"Name": api_id, "ProtocolType": "HTTP"}
    # In the OpenAPI body's own spelling, which is the one the local cloud looks for.
    if cors := body.get("x-amazon-apigateway-cors"):
        properties["CorsConfiguration"] = cors
    added: Template = {}
    schemes = body.get("components", {}).get("securitySchemes", {})
    for name, scheme in schemes.items():
        added[f"{api_id}{name}"] = _authorizer(api_id, name, scheme)
    for path, operations in body["paths"].items():
        for method, operation in operations.items():
            if method not in _METHODS | {_ANY}:
                raise UnsupportedLocally(f"{path}: {method}")
            key = _route_key(path, method)
            # Logical ids are letters and digits; the key itself would not do.
            logical_id = f"{api_id}Route{len(added)}"
            added[f"{logical_id}Integration"] = _integration(api_id, operation[_INTEGRATION])
            added[logical_id] = _route(api_id, key, operation, f"{logical_id}Integration", schemes)
    return added


def _route_key(path: str, method: str) -> str:
    if path == "/$default":
        return "$default"
    return f"{'ANY' if method == _ANY else method.upper()} {path}"


def _authorizer(api_id: str, name: str, scheme: dict[str, Any]) -> Template:
    settings = scheme["x-amazon-apigateway-authorizer"]
    if settings["type"] != "request":
        raise UnsupportedLocally(f"authorizer {name} of type {settings['type']}")
    return {
        "Type": "AWS::ApiGatewayV2::Authorizer",
        "Properties": {
            "ApiId": {"Ref": api_id},
            "Name": name,
            "AuthorizerType": "REQUEST",
            "AuthorizerUri": settings["authorizerUri"],
            "AuthorizerPayloadFormatVersion": settings["authorizerPayloadFormatVersion"],
            "AuthorizerResultTtlInSeconds": settings["authorizerResultTtlInSeconds"],
            "EnableSimpleResponses": settings["enableSimpleResponses"],
            "IdentitySource": settings["identitySource"],
        },
    }


def _integration(api_id: str, settings: dict[str, Any]) -> Template:
    return {
        "Type": "AWS::ApiGatewayV2::Integration",
        "Properties": {
            "ApiId": {"Ref": api_id},
            "IntegrationType": settings["type"].upper(),
            "IntegrationUri": settings["uri"],
            "PayloadFormatVersion": settings["payloadFormatVersion"],
        },
    }


def _route(
    api_id: str, key: str, operation: dict[str, Any], integration: str, schemes: dict[str, Any]
) -> Template:
    properties = {
        "ApiId": {"Ref": api_id},
        "RouteKey": key,
        "Target": {"Fn::Sub": f"integrations/${{{integration}}}"},
    }
    # SAM writes the scheme NONE on a route without an authorizer, and declares no such scheme.
    for requirement in operation.get("security", []):
        for name in requirement:
            if name in schemes:
                authorizer = {"Ref": f"{api_id}{name}"}
                properties |= {"AuthorizationType": "CUSTOM", "AuthorizerId": authorizer}
    return {"Type": "AWS::ApiGatewayV2::Route", "Properties": properties}
