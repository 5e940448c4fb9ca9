"""An alarm on a metric of ours watches one that is written, under exactly its dimensions.

To CloudWatch an alarm on a metric that nobody writes is fine: it has no data, and never goes off.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fieldgate import observability
from local import template as sam
from local.template import ROOT

SOURCES = [*(ROOT / "functions").rglob("*.py"), *(ROOT / "layers/common/fieldgate").rglob("*.py")]
WRITERS = {
    writer.__name__
    for writer in (observability.count, observability.gauge, observability.percentage)
}
TEMPLATE = sam.read_template()
ALARMS = {
    name: alarm
    for name, alarm in sam.resources(TEMPLATE, "AWS::CloudWatch::Alarm")
    if alarm.get("Namespace") == observability.METRICS_NAMESPACE
}


def metrics(path: Path) -> Iterator[tuple[str, frozenset[str | None]]]:
    """Yield name and own dimensions of each metric that a module writes."""
    for node in ast.walk(ast.parse(path.read_text())):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in WRITERS
            and path != Path(observability.__file__)
        ):
            names = [
                part.value for part in ast.walk(node.args[0]) if isinstance(part, ast.Constant)
            ]
            assert names, f"{path}:{node.lineno}: a metric whose name can't be read here"
            for name in names:
                assert isinstance(name, str)
                yield name, frozenset(keyword.arg for keyword in node.keywords)


WRITTEN = {metric for path in SOURCES for metric in metrics(path)}


def test_the_metrics_are_found() -> None:
    assert ("OtpPumpingSuspected", frozenset()) in WRITTEN
    assert ("OtpConversion", frozenset({"prefix"})) in WRITTEN
    assert ("OtpWrong", frozenset({"purpose"})) in WRITTEN
    assert ALARMS


@pytest.mark.parametrize("alarm", ALARMS.values(), ids=ALARMS)
def test_an_alarm_watches_a_metric_that_is_written(alarm: dict[str, Any]) -> None:
    assert (alarm["MetricName"], frozenset()) in WRITTEN
    # A metric without dimensions of its own has this one, by Powertools.
    service = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"]
    assert alarm.get("Dimensions") == [{"Name": "service", "Value": service}]


def test_no_function_calls_itself_another_service() -> None:
    for name, function in sam.resources(TEMPLATE, sam.FUNCTION):
        own = function.get("Environment", {}).get("Variables", {})
        assert "POWERTOOLS_SERVICE_NAME" not in own, name
