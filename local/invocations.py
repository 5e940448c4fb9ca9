"""What the functions' processes measured, summed up per function."""

import json
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any


def summarise(path: Path) -> list[dict[str, Any]]:
    """Read what local_runtime.py recorded: one row a function, as `/_local/functions` shows it.

    Times are in milliseconds; `initMs` is the median of the cold starts. An invocation that has
    begun and not ended counts as an error: it was killed, by its time-out for one, or still runs.
    """
    events: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    if path.exists():
        for line in path.read_text().splitlines():
            record = json.loads(line)
            events[record["name"]].append(record)
    return [_row(name, records) for name, records in sorted(events.items())]


def _row(name: str, records: list[dict[str, Any]]) -> dict[str, Any]:
    starts = sum(record["event"] == "start" for record in records)
    ends = [record for record in records if record["event"] == "end"]
    inits = [record["initMs"] for record in records if record["event"] == "init"]
    durations = sorted(record["ms"] for record in ends)
    return {
        "name": name,
        "invocations": starts,
        "errors": sum(record["error"] for record in ends) + max(0, starts - len(ends)),
        "coldStarts": len(inits),
        "initMs": round(statistics.median(inits), 1) if inits else None,
        "p50Ms": _percentile(durations, 50),
        "p99Ms": _percentile(durations, 99),
        "maxMemoryMb": round(max((record["memoryMb"] for record in ends), default=0), 1),
    }


def _percentile(ordered: list[float], percent: int) -> float | None:
    if not ordered:
        return None
    rank = -(-len(ordered) * percent // 100)
    return round(ordered[rank - 1], 1)
