"""What the functions' processes measured, summed up per function."""

import json
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil


def summarise(path: Path, functions: Iterable[str]) -> list[dict[str, Any]]:
    """Sum up what local_runtime.py recorded: a row for each of `functions`, called or not.

    Times are in milliseconds; `initMs` is the median of the cold starts. An invocation that has
    begun and not ended counts as an error once its process is gone: it was killed, by its time-out
    for one.
    """
    events: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    if path.exists():
        for line in path.read_text().splitlines():
            record = json.loads(line)
            events[record["name"]].append(record)
    return [_row(name, events[name]) for name in sorted(functions)]


def _row(name: str, records: list[dict[str, Any]]) -> dict[str, Any]:
    starts = [record for record in records if record["event"] == "start"]
    ends = [record for record in records if record["event"] == "end"]
    inits = [record["initMs"] for record in records if record["event"] == "init"]
    durations = sorted(record["ms"] for record in ends)
    return {
        "name": name,
        "invocations": len(starts),
        "errors": sum(record["error"] for record in ends)
        + sum(record["event"] == "failedInit" for record in records)
        + _killed(starts, ends),
        "coldStarts": len(inits),
        "initMs": round(statistics.median(inits), 1) if inits else None,
        "p50Ms": _percentile(durations, 50),
        "p99Ms": _percentile(durations, 99),
        "maxMemoryMb": round(max((record["memoryMb"] for record in ends), default=0), 1),
    }


def _killed(starts: list[dict[str, Any]], ends: list[dict[str, Any]]) -> int:
    """Count the processes that went away in the middle of an invocation, their last."""
    unfinished = Counter(start["pid"] for start in starts)
    unfinished.subtract(end["pid"] for end in ends)
    return sum(count for pid, count in unfinished.items() if not psutil.pid_exists(pid))


def _percentile(ordered: list[float], percent: int) -> float | None:
    if not ordered:
        return None
    rank = -(-len(ordered) * percent // 100)
    return round(ordered[rank - 1], 1)
