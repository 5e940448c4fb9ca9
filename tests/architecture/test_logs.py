"""Logs are kept by what they hold, and hold what they may."""

import re
from typing import Any

from local import template as sam
from local.template import Template
from tests.support.template import of_type


def test_a_function_logs_with_its_domain(source: Template, deployed: Template) -> None:
    groups = of_type(deployed["Resources"], "AWS::Logs::LogGroup")
    for name, function in sam.resources(source, sam.FUNCTION):
        group = groups[function["LoggingConfig"]["LogGroup"]["Ref"]]["LogGroupName"]["Fn::Sub"]
        domain = function["Handler"].partition(".")[0]
        # What is subscribed to the logs must not hear of itself.
        last = "keep_errors" if name == "KeepErrors" else domain
        assert group == f"/fieldgate/${{Environment}}/{last}", name


def test_logs_are_kept_by_what_they_hold(deployed: Template) -> None:
    kept = {
        group["LogGroupName"]["Fn::Sub"].rpartition("/")[2]: group["RetentionInDays"]
        for group in of_type(deployed["Resources"], "AWS::Logs::LogGroup").values()
    }
    assert {name for name, days in kept.items() if days == 7} == {"http-api", "realtime-api"}
    assert {name for name, days in kept.items() if days == 30} == {"errors", "exceptions"}
    assert {days for days in kept.values() if days not in {7, 30}} == {14}


def test_what_goes_wrong_is_copied_from_every_application_log_but_the_copiers(
    deployed: Template,
) -> None:
    resources = deployed["Resources"]
    logs = {
        function["LoggingConfig"]["LogGroup"]["Ref"]
        for name, function in of_type(resources, "AWS::Lambda::Function").items()
        if name != "KeepErrors"
    }
    filters = of_type(resources, "AWS::Logs::SubscriptionFilter")
    assert {subscription["LogGroupName"]["Ref"] for subscription in filters.values()} == logs
    for name, subscription in filters.items():
        assert subscription["DestinationArn"] == {"Fn::GetAtt": ["KeepErrors", "Arn"]}
        # CloudWatch refuses a destination that it may not invoke.
        assert resources[name]["DependsOn"] == "KeepErrorsPermission"


def test_no_access_log_holds_what_a_client_sent(resources: dict[str, dict[str, Any]]) -> None:
    """Tokens come in the header Authorization, and in the query access_token."""
    stages = of_type(resources, "AWS::ApiGatewayV2::Stage").values()
    formats = [stage["AccessLogSettings"]["Format"] for stage in stages]
    assert len(formats) == 2
    allowed = {
        *("requestId", "routeKey", "status", "responseLatency", "integrationErrorMessage"),
        *("eventType", "connectionId"),
    }
    for format_ in formats:
        assert set(re.findall(r"\$context\.([a-zA-Z.]+)", format_)) <= allowed
    distribution = resources["Distribution"]["Properties"]["DistributionConfig"]
    assert "Logging" not in distribution


def test_nothing_is_traced_twice(source: Template) -> None:
    """Where OpenTelemetry's layer traces, `observed` is told to leave the X-Ray SDK alone."""
    everywhere = source["Globals"]["Function"]
    variables = everywhere["Environment"]["Variables"]
    assert variables["TRACING_MODE"] == {
        "Fn::If": ["HasAdotLayer", "PassThrough", {"Ref": "TracingMode"}]
    }
    nothing = {"Ref": "AWS::NoValue"}
    assert variables["AWS_LAMBDA_EXEC_WRAPPER"] == {
        "Fn::If": ["HasAdotLayer", "/opt/otel-instrument", nothing]
    }
    layer = {"Fn::If": ["HasAdotLayer", {"Ref": "AdotLayerArn"}, nothing]}
    assert layer in everywhere["Layers"]
    for name, function in sam.resources(source, sam.FUNCTION):
        own = function.get("Environment", {}).get("Variables", {})
        assert not {"TRACING_MODE", "AWS_LAMBDA_EXEC_WRAPPER"} & own.keys(), name
