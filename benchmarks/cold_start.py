"""Cold starts: from the start of a function's process to its first poll, for every function.

    python -m benchmarks.cold_start [--runs 5] [--only identity.]

Each function is started from what the build makes, under AWS's runtime interface client, in turns
with a reference (benchmarks/reference) as `sam build` leaves it. Exit code 1 when a function takes
a larger share of the reference than its kind may.
"""

import argparse
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from rich.console import Console
from rich.progress import track

from benchmarks.command_line import parser
from benchmarks.lambda_artifacts import Function, functions, reference
from benchmarks.results import Comparison, Section, Table, publish
from benchmarks.runtime_api import Usage, started
from fieldgate.tokens import new_signing_key
from tests.support.gateway import http_event
from tools import import_budgets

# The largest share of the reference's time that a function of a kind may take.
MOST_SHARE = {"authorizer": 0.15, "websocket": 0.15, "queue": 0.15, "http": 0.30}
KINDS = {
    "authorizer": "authorizers",
    "websocket": "functions of the WebSocket API",
    "queue": "functions of queues, events and schedules",
    "http": "functions of the HTTP API",
}
# So many functions are measured between two runs of the reference.
BETWEEN = 15
NOBODY = {"requestContext": {"connectionId": "JKJaXmPLvHcCEhQ="}}
REFUSED = http_event("GET", "/api/v1/media")
FORGED = http_event("GET", "/api/v1/media", headers={"authorization": "Bearer a.b.c"})
# What needs no other server, so that nothing but the function is in its time. What is imported at
# the first event only is in these.
FIRST_EVENTS: Mapping[str, tuple[str, Any]] = {
    "health.generate_204": ("an empty answer", http_event("GET", "/generate_204")),
    "uploads.list_media": ("a request without a token, refused", REFUSED),
    "identity.authorize": ("a token that is none, refused", FORGED),
    "realtime.on_message": ("a ping", {**NOBODY, "body": '{"type":6}\x1e'}),
}
NOTES = (
    """What is imported at the first event only is in no start: boto3, say, where a function sends a
message. The rows to the first answer show that nothing is put off where it isn't needed; what the
first event of others takes is in `python -m benchmarks.memory_sizes`.""",
    """Here a function has a whole processor. Lambda gives one at 1,769 MB and a part of one below,
to ours and to the reference alike.""",
)

type Runs = dict[str, list[Usage]]

_say = Console(stderr=True)


def main() -> int:
    options = _options()
    wanted = [function for function in functions() if function.name.startswith(options.only)]
    plain, compiled = reference()
    starts: Runs = defaultdict(list)
    answers: Runs = defaultdict(list)
    for _ in track(range(options.runs), "cold starts", console=_say):
        for number, function in enumerate(wanted):
            if number % BETWEEN == 0:
                _start(plain, REFUSED, starts, answers)
            _, event = FIRST_EVENTS.get(function.name, ("", None))
            _start(function, event, starts, answers)
        _start(compiled, REFUSED, starts, answers)
    return publish(section(wanted, starts, answers))


def _start(function: Function, event: Any, starts: Runs, answers: Runs) -> None:
    """Start a function once, with an event unless that is None."""
    with started(function, _settings()) as process:
        starts[function.name].append(process.polled())
        if event is not None:
            answer, usage = process.answers(event)
            assert "errorMessage" not in answer, answer
            answers[function.name].append(usage)


@cache
def _settings() -> dict[str, str]:
    """Return what it takes to look at a token."""
    _, public = new_signing_key()
    return {
        "JWT_ISSUER": "https://api.fieldgate.test",
        "JWT_AUDIENCE": "fieldgate-app",
        "JWT_PUBLIC_KEYS": f'{{"keys": [{public}]}}',
    }


def section(wanted: Sequence[Function], starts: Runs, answers: Runs) -> Section:
    theirs = _milliseconds(starts["reference"])
    return Section(
        "cold_start",
        "Cold start per function",
        "From the start of a function's process to its first poll for an event, under AWS's runtime"
        " interface client (awslambdaric), whose own start is in both. Ours are what `make build`"
        " makes, with layers and functions compiled. The reference is one function with FastAPI,"
        " Mangum, SQLAlchemy's ORM, three clients of boto3, firebase-admin and Pillow imported at"
        " the top, as `sam build` leaves it: not compiled, and Lambda's disk keeps nothing that is"
        " compiled on it. The versions are the same. Of each kind the slowest function is shown.",
        [
            *_slowest(wanted, starts),
            *_to_the_first_answer(answers),
            Comparison(
                "what compiling alone would give the reference",
                "ms",
                _milliseconds(starts["reference, compiled"]),
                theirs,
                "the reference",
            ),
        ],
        [_table(wanted, starts)],
        NOTES,
    )


def _slowest(wanted: Sequence[Function], starts: Runs) -> Iterable[Comparison]:
    theirs = _milliseconds(starts["reference"])
    for kind, plural in KINDS.items():
        of_kind = [function.name for function in wanted if function.kind == kind]
        if not of_kind:
            continue
        slowest = max(of_kind, key=lambda name: _median(starts[name]))
        share, most = _median(starts[slowest]) / _median(starts["reference"]), MOST_SHARE[kind]
        yield Comparison(
            f"{plural}, slowest of {len(of_kind)}: {slowest}",
            "ms",
            _milliseconds(starts[slowest]),
            theirs,
            "the reference",
            f"at most {most:.2f} of the reference",
            met=share <= most,
        )


def _to_the_first_answer(answers: Runs) -> Iterable[Comparison]:
    for name, (what, _) in FIRST_EVENTS.items():
        if name in answers:
            yield Comparison(
                f"to the first answer: {name}, {what}",
                "ms",
                _milliseconds(answers[name]),
                _milliseconds(answers["reference"]),
                "the reference, a request without a token, refused",
            )


def _table(wanted: Sequence[Function], starts: Runs) -> Table:
    budgets = import_budgets.read()
    whole = _median(starts["reference"])
    rows = []
    for function in sorted(wanted, key=lambda function: (function.kind, function.name)):
        runs = starts[function.name]
        clock = _milliseconds(runs)
        rows.append(
            [
                function.name,
                function.kind,
                f"{_median(runs):,.0f}",
                f"{min(clock):,.0f} to {max(clock):,.0f}",
                f"{_median(runs) / whole:.3f}",
                f"{statistics.median(run.processor for run in runs) * 1000:,.0f}",
                f"{statistics.median(run.memory for run in runs):,.0f}",
                f"{budgets[function.name]:,}" if function.name in budgets else "",
            ]
        )
    return Table(
        "Every function, to its first poll; modules are the most that its budget allows",
        [
            "function",
            "kind",
            "ms",
            "from, to",
            "of the reference",
            "processor, ms",
            "MiB",
            "modules",
        ],
        rows,
    )


def _median(runs: Iterable[Usage]) -> float:
    """Return milliseconds."""
    return statistics.median(_milliseconds(runs))


def _milliseconds(runs: Iterable[Usage]) -> list[float]:
    return [run.seconds * 1000 for run in runs]


def _options() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--only", default="", help="names of functions begin so")
    return made.parse_args()


if __name__ == "__main__":
    sys.exit(main())
