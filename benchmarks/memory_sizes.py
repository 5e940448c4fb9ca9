"""How much memory functions need, and what each size of Lambda makes of their time and cost.

    python -m benchmarks.memory_sizes [--runs 5]

Functions run from what the build makes, under AWS's runtime interface client, against a real
PostgreSQL and Valkey. Processor's time and memory are measured; durations at a size follow from
them, since Lambda gives a whole processor at 1,769 MB and a part in proportion below. Exit code 1
when a function needs more than three quarters of what template.yaml gives it.
"""

import json
import os
import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.command_line import parser
from benchmarks.lambda_artifacts import Function, functions
from benchmarks.results import Comparison, Section, Table, publish
from benchmarks.runtime_api import started
from benchmarks.warm_request import EMPTY, ME, SIGNED_IN, running
from tests.support.gateway import http_event

SIZES = (256, 512, 1024, 1769)
WHOLE_PROCESSOR = 1769  # MB, https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
MOST_SHARE = 0.75  # of its memory, so that a larger request than ours has room
WARM = 8  # events after the first, whose mean is taken: what is left of a bucket of ten
PASSED_ON = ("DATABASE_URL", "CACHE_URL", "PEPPER", "STORAGE_BUCKET", "MEDIA_BUCKET")
PING = {"requestContext": {"connectionId": "JKJaXmPLvHcCEhQ="}, "body": '{"action":"ping"}'}
NOTES = (
    """What only computes costs the same at each size, as it is faster by what the size costs more;
what waits for a server costs more at a larger one, and is no faster. So functions that wait for
PostgreSQL have 512 MB, where a cold start is bearable, those that wait for nothing no less, and
those that hash passwords 1,024.""",
    """What images, fan-out and pushes need is measured by their own benchmarks.""",
)
WRONG = {"identifier": "nobody@example.org", "password": "not the password"}
EVENTS: dict[str, tuple[str, Any]] = {
    "realtime.on_message": ("a ping", PING),
    "health.generate_204": ("an empty answer", EMPTY),
    "identity.get_profile": ("a row of PostgreSQL", ME),
    "uploads.list_media": ("a page", http_event("GET", "/api/v1/media", authorizer=SIGNED_IN)),
    "identity.login": (
        "a password hashed with argon2id, refused",
        http_event("POST", "/api/v1/auth/login", body=json.dumps(WRONG)),
    ),
}


@dataclass(frozen=True)
class Need:
    """Seconds of processor to the first poll, for the first event, for a later one; MiB."""

    start: float
    first: float
    warm: float
    memory: float


def main() -> int:
    runs = parser(__doc__).parse_args().runs
    needs: dict[str, list[Need]] = {name: [] for name in EVENTS}
    wanted = [function for function in functions() if function.name in EVENTS]
    with running():
        for run in range(runs):
            for function in wanted:
                needs[function.name].append(need(function, run))
    return publish(section(wanted, needs))


def need(function: Function, run: int) -> Need:
    """Start a function, give it events, and return what it needed."""
    environment = {name: os.environ[name] for name in PASSED_ON}
    _, event = EVENTS[function.name]
    # Somebody else in each run, whose bucket is full.
    event = json.loads(json.dumps(event).replace("nobody@", f"nobody{run}@"))
    with started(function, environment) as process:
        start = process.polled().processor
        answer, first = process.answers(event)
        assert "statusCode" in answer, answer
        for _ in range(WARM):
            _, last = process.answers(event)
    warm = (last.processor - first.processor) / WARM
    return Need(start, first.processor - start, warm, last.memory)


def section(wanted: Sequence[Function], needs: dict[str, list[Need]]) -> Section:
    return Section(
        "memory_sizes",
        "Memory size per function",
        "Functions from what `make build` makes, under AWS's runtime interface client, against a"
        " real PostgreSQL and Valkey: the most memory resident, and the processor's time to the"
        f" first poll, for the first event, and the mean of {WARM} later ones. Lambda gives a whole"
        " processor at 1,769 MB and a part in proportion below: seconds at a size are the"
        " processor's, stretched so. What is waited for comes on top, at every size alike.",
        [_memory(function, needs[function.name]) for function in wanted],
        [
            Table(
                "Milliseconds cold (start and first event) / warm / megabyte-seconds warm",
                ["function", "event", *(f"{size:,} MB" for size in SIZES)],
                [_row(function, needs[function.name]) for function in wanted],
            )
        ],
        NOTES,
    )


def _memory(function: Function, needs: Iterable[Need]) -> Comparison:
    memory = [each.memory for each in needs]
    share = statistics.median(memory) / function.memory
    return Comparison(
        f"{function.name}, of {function.memory:,} MB",
        "MiB",
        memory,
        goal=f"at most {MOST_SHARE:.2f} of it",
        met=share <= MOST_SHARE,
    )


def _row(function: Function, needs: Sequence[Need]) -> list[str]:
    cold = statistics.median(each.start + each.first for each in needs)
    warm = statistics.median(each.warm for each in needs)
    cells = []
    for size in SIZES:
        stretched = WHOLE_PROCESSOR / min(size, WHOLE_PROCESSOR)
        cost = warm * stretched * size
        cells.append(
            f"{cold * stretched * 1000:,.0f} / {warm * stretched * 1000:,.1f} / {cost:,.2f}"
        )
    return [function.name, EVENTS[function.name][0], *cells]


if __name__ == "__main__":
    sys.exit(main())
