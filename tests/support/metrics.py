"""The metrics that our code writes, and those that template.yaml looks at."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from fieldgate import observability
from local.template import ROOT

SOURCES = [*(ROOT / "functions").rglob("*.py"), *(ROOT / "layers/common/fieldgate").rglob("*.py")]
WRITERS = {
    writer.__name__
    for writer in (observability.count, observability.gauge, observability.percentage)
}


@dataclass(frozen=True)
class Metric:
    """A metric that an alarm or a widget looks at. `dimensions` are as the template says them."""

    namespace: str
    name: str
    dimensions: dict[str, Any] = field(hash=False)


def _written_by(path: Path) -> Iterator[tuple[str, frozenset[str | None]]]:
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


@cache
def written() -> set[tuple[str, frozenset[str | None]]]:
    """Return name and own dimensions of each metric that a module of ours writes."""
    return {metric for path in SOURCES for metric in _written_by(path)}


def watched_by(alarm: dict[str, Any]) -> list[Metric]:
    """Return what an alarm looks at, by itself or by an expression."""
    queries = [query for query in alarm.get("Metrics", ()) if "MetricStat" in query]
    metrics = [query["MetricStat"]["Metric"] for query in queries] or [alarm]
    return [
        Metric(
            metric["Namespace"],
            metric["MetricName"],
            {one["Name"]: one["Value"] for one in metric.get("Dimensions", ())},
        )
        for metric in metrics
    ]


def names_in(expression: str) -> set[str]:
    """Return the ids of other queries that an expression of metric math names."""
    return set(re.findall(r"(?<![\w${])[a-z]\w*\b(?!\()", expression))
