"""Looking into an expanded template."""

from typing import Any


def of_type(resources: dict[str, dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {n: r.get("Properties", {}) for n, r in resources.items() if r["Type"] == kind}


def present(entries: list[Any]) -> list[Any]:
    """Return a list's entries, also those that depend on a condition."""
    return [entry["Fn::If"][1] if "Fn::If" in entry else entry for entry in entries]


def routes_of(resources: dict[str, dict[str, Any]], api: str) -> dict[str, dict[str, Any]]:
    """Return the routes of an API by their keys."""
    routes = of_type(resources, "AWS::ApiGatewayV2::Route").values()
    return {route["RouteKey"]: route for route in routes if route["ApiId"] == {"Ref": api}}
