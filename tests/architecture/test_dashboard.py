"""The dashboard shows what there is: CloudWatch draws an empty box for a metric nobody writes."""

import json
import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest

from fieldgate import observability
from local import template as sam
from tests.architecture.test_alarms import AWS_METRICS, NAMED_BY, TEMPLATE, WITHOUT_DIMENSIONS
from tests.support.metrics import names_in, written

((_, DASHBOARD),) = sam.resources(TEMPLATE, "AWS::CloudWatch::Dashboard")
WIDGETS: list[dict[str, Any]] = json.loads(DASHBOARD["DashboardBody"]["Fn::Sub"])["widgets"]
GRAPHS = [widget for widget in WIDGETS if widget["type"] == "metric"]
COLUMNS = 24
# Beyond those that alarms watch; docs.aws.amazon.com: the services' lists of metrics.
SHOWN = {
    "AWS/Lambda": AWS_METRICS["AWS/Lambda"] | {"Invocations"},
    "AWS/ApiGateway": AWS_METRICS["AWS/ApiGateway"] | {"ConnectCount", "MessageCount"},
    "AWS/SQS": AWS_METRICS["AWS/SQS"] | {"NumberOfMessagesSent"},
    "AWS/RDS": {"CPUUtilization", "DatabaseConnections", "FreeStorageSpace"},
    "AWS/Logs": {"IncomingBytes"},
}
SEARCH = re.compile(
    r"SEARCH\('\{(?P<namespace>[\w/]+),(?P<dimensions>[\w,]+)\} MetricName=\"(?P<name>\w+)\""
    r"[^']*', '(?:Sum|Maximum|Minimum|Average)'\)"
)

titles = pytest.mark.parametrize(
    "graph", GRAPHS, ids=[graph["properties"]["title"] for graph in GRAPHS]
)


def rows(graph: dict[str, Any]) -> Iterator[tuple[list[Any], dict[str, Any]]]:
    """Yield each line of a graph: the metric, and how it is drawn."""
    for row in graph["properties"]["metrics"]:
        drawn = row[-1] if isinstance(row[-1], dict) else {}
        yield [part for part in row if not isinstance(part, dict)], drawn


def test_widgets_lie_side_by_side_within_the_columns() -> None:
    assert len(GRAPHS) > 20
    for widget in WIDGETS:
        assert 0 <= widget["x"] < widget["x"] + widget["width"] <= COLUMNS
    for one, other in combinations(WIDGETS, 2):
        beside = one["x"] + one["width"] <= other["x"] or other["x"] + other["width"] <= one["x"]
        above = one["y"] + one["height"] <= other["y"] or other["y"] + other["height"] <= one["y"]
        assert beside or above, (one, other)


@titles
def test_a_graph_shows_metrics_that_there_are(graph: dict[str, Any]) -> None:
    for metric, _ in rows(graph):
        if not metric:
            continue
        namespace, name, *dimensions = metric
        if namespace == observability.METRICS_NAMESPACE:
            assert (name, frozenset()) in written()
            assert dimensions == ["service", "fieldgate"]
            continue
        assert name in SHOWN[namespace]
        if not dimensions:
            assert name in WITHOUT_DIMENSIONS
            continue
        dimension, types = NAMED_BY[namespace]
        named = dict(zip(dimensions[::2], dimensions[1::2], strict=True))
        (resource,) = re.findall(r"^\$\{(\w+)(?:\.QueueName)?\}$", named[dimension])
        assert TEMPLATE["Resources"][resource]["Type"] in types


@titles
def test_a_graphs_expressions_find_what_they_name(graph: dict[str, Any]) -> None:
    ids = {drawn["id"] for _, drawn in rows(graph) if "id" in drawn}
    for metric, drawn in rows(graph):
        expression = drawn.get("expression", "")
        assert bool(expression) is not bool(metric)
        if not expression.startswith("SEARCH"):
            assert names_in(expression) <= ids
            continue
        found = SEARCH.fullmatch(expression)
        assert found, expression
        dimensions = set(found["dimensions"].split(","))
        if found["namespace"] == observability.METRICS_NAMESPACE:
            assert "service" in dimensions
            assert (found["name"], frozenset(dimensions - {"service"})) in written()
        else:
            assert found["name"] in SHOWN[found["namespace"]]


def test_every_queue_is_shown_with_depth_and_age() -> None:
    shown: dict[str, set[str]] = {}
    for graph in GRAPHS:
        for metric, _ in rows(graph):
            if metric[:1] == ["AWS/SQS"]:
                shown.setdefault(metric[1], set()).add(metric[3][2:-1].partition(".")[0])
    queues = dict(sam.resources(TEMPLATE, "AWS::SQS::Queue"))
    worked_on = {name for name, queue in queues.items() if "RedrivePolicy" in queue}
    assert shown["ApproximateNumberOfMessagesVisible"] == queues.keys()
    assert shown["ApproximateAgeOfOldestMessage"] == worked_on


def test_time_outs_are_shown_as_the_alarm_has_them() -> None:
    (graph,) = (one for one in GRAPHS if one["properties"]["title"].startswith("Nearest"))
    alarm = dict(sam.resources(TEMPLATE, "AWS::CloudWatch::Alarm"))["DurationsAlarm"]
    (watched,) = (query["Expression"] for query in alarm["Metrics"] if "Expression" in query)
    shown = {drawn["expression"] for _, drawn in rows(graph) if "expression" in drawn}
    divisors = re.findall(r"(\w+) / (\d+)[,\]]", watched)
    assert shown == {f"{id_} / {seconds} / 10" for id_, seconds in divisors}


def test_what_people_notice_is_shown() -> None:
    drawn = json.dumps(GRAPHS)
    for stat in ("p50", "p95", "p99"):
        assert f'"stat": "{stat}"' in drawn
    for name in (
        *("SlowRequest", "VerySlowRequest", "UnexpectedError", "5xx", "OtpConversion"),
        *("UploadCompleted", "PushMessagesSent", "SmsSent", "RealtimeConnections"),
        *("RelayLagSeconds", "Throttles", "Invocations"),
    ):
        assert name in drawn, name
