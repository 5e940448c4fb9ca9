"""An alarm watches what there is: to CloudWatch one on a metric that nobody writes is fine.

It has no data, and never goes off.
"""

import re
from typing import Any

import pytest

from fieldgate import observability
from local import template as sam
from local.template import ROOT
from tests.support.metrics import names_in, watched_by, written

TEMPLATE = sam.read_template()
ALARMS = dict(sam.resources(TEMPLATE, "AWS::CloudWatch::Alarm"))
FUNCTIONS = dict(sam.resources(TEMPLATE, sam.FUNCTION))
# docs.aws.amazon.com: lambda/latest/dg/monitoring-metrics-types.html,
# apigateway/latest/developerguide/http-api-metrics.html and
# apigateway-websocket-api-logging.html,
# AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
AWS_METRICS = {
    "AWS/Lambda": {"ConcurrentExecutions", "Duration", "Errors", "Throttles"},
    "AWS/ApiGateway": {"4xx", "5xx", "Count", "ExecutionError", "IntegrationError", "Latency"},
    "AWS/SQS": {"ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible"},
}
# By namespace: the dimension that names a resource of the template, and the types it may be of.
NAMED_BY = {
    "AWS/Lambda": ("FunctionName", {sam.FUNCTION}),
    "AWS/ApiGateway": ("ApiId", {"AWS::Serverless::HttpApi", "AWS::ApiGatewayV2::Api"}),
    "AWS/SQS": ("QueueName", {"AWS::SQS::Queue"}),
}
# Of the account in this region.
WITHOUT_DIMENSIONS = {"ConcurrentExecutions", "Throttles"}


def test_the_metrics_are_found() -> None:
    assert ("OtpPumpingSuspected", frozenset()) in written()
    assert ("OtpConversion", frozenset({"prefix"})) in written()
    assert ("OtpWrong", frozenset({"purpose"})) in written()
    namespaces = {metric.namespace for alarm in ALARMS.values() for metric in watched_by(alarm)}
    assert namespaces == {observability.METRICS_NAMESPACE, *AWS_METRICS}


@pytest.mark.parametrize("alarm", ALARMS.values(), ids=ALARMS)
def test_an_alarm_watches_a_metric_that_is_written(alarm: dict[str, Any]) -> None:
    # A metric without dimensions of its own has this one, by Powertools.
    service = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"]
    for metric in watched_by(alarm):
        if metric.namespace == observability.METRICS_NAMESPACE:
            assert (metric.name, frozenset()) in written()
            assert metric.dimensions == {"service": service}
            continue
        assert metric.name in AWS_METRICS[metric.namespace]
        if not metric.dimensions:
            assert metric.name in WITHOUT_DIMENSIONS
            continue
        dimension, types = NAMED_BY[metric.namespace]
        (reference,) = metric.dimensions[dimension].values()
        name = reference if isinstance(reference, str) else reference[0]
        assert TEMPLATE["Resources"][name.removesuffix(".QueueName")]["Type"] in types


@pytest.mark.parametrize(
    "alarm", [alarm for alarm in ALARMS.values() if "Metrics" in alarm], ids=lambda alarm: ""
)
def test_an_alarms_expression_stands_on_the_metrics_beside_it(alarm: dict[str, Any]) -> None:
    ids = {query["Id"] for query in alarm["Metrics"] if "MetricStat" in query}
    # What CloudWatch takes, and the form it wants of an id.
    assert len(ids) <= 10
    assert all(re.fullmatch(r"[a-z]\w*", id_) for id_ in ids)
    (expression,) = (query for query in alarm["Metrics"] if "Expression" in query)
    text = expression["Expression"]
    text = text if isinstance(text, str) else text["Fn::Sub"]
    assert "METRICS()" in text or names_in(text) == ids
    periods = {q["MetricStat"]["Period"] for q in alarm["Metrics"] if "MetricStat" in q}
    assert len(periods) == 1
    assert all(q["ReturnData"] is False for q in alarm["Metrics"] if "MetricStat" in q)


def test_time_outs_are_said_as_they_are() -> None:
    queries = {query["Id"]: query for query in ALARMS["DurationsAlarm"]["Metrics"]}
    divisors = re.findall(r"(\w+) / (\d+)[,\]]", queries.pop("watched")["Expression"])
    assert len(divisors) == len(queries)
    for id_, seconds in divisors:
        (dimension,) = queries[id_]["MetricStat"]["Metric"]["Dimensions"]
        assert FUNCTIONS[dimension["Value"]["Ref"]]["Timeout"] == int(seconds), id_


def test_every_alarm_speaks_and_tells_what_it_means() -> None:
    for name, alarm in ALARMS.items():
        assert alarm["AlarmActions"] == [
            {"Fn::If": ["HasAlarmTopic", {"Ref": "AlarmTopicArn"}, {"Ref": "AlarmTopic"}]}
        ], name
        assert alarm["AlarmDescription"]
        # Else an idle night would be an alarm, or a morning without data all is well for ever.
        assert alarm["TreatMissingData"] == "notBreaching", name


def test_the_runbook_has_every_alarm_and_no_other() -> None:
    page = (ROOT / "docs/operations.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `") and "Alarm`" in line]
    named = [name for row in rows for name in re.findall(r"`(\w+Alarm)`", row.split("|")[1])]
    database = sam.read_template(ROOT / "database.yaml")
    theirs = dict(sam.resources(database, "AWS::CloudWatch::Alarm"))
    assert sorted(named) == sorted([*ALARMS, *theirs])
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert len(cells) == 4, row
        assert all(cells), row


def test_every_queue_has_alarms_on_its_age_and_its_depth() -> None:
    watched = {
        (*metric.dimensions["QueueName"]["Fn::GetAtt"], metric.name)
        for alarm in ALARMS.values()
        for metric in watched_by(alarm)
        if metric.namespace == "AWS/SQS"
    }
    queues = {name for name, _ in sam.resources(TEMPLATE, "AWS::SQS::Queue")}
    worked_off = {name for name in queues if name.endswith("Queue")}
    assert worked_off
    for name in worked_off:
        found = {metric for queue, _, metric in watched if queue == name}
        assert found == AWS_METRICS["AWS/SQS"], name


def test_the_runbook_names_parameters_that_there_are() -> None:
    page = (ROOT / "docs/operations.md").read_text()
    assert set(re.findall(r"`(Reserve\w+)`", page)) <= TEMPLATE["Parameters"].keys()


def test_no_function_calls_itself_another_service() -> None:
    for name, function in FUNCTIONS.items():
        own = function.get("Environment", {}).get("Variables", {})
        assert "POWERTOOLS_SERVICE_NAME" not in own, name
