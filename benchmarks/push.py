"""Pushes: how many a second one environment hands to FCM, and what a batch of them takes.

    python -m benchmarks.push [--runs 5] [--messages 2000] [--latency 0.02]

`fieldgate.push.fcm` against the stand-in of FCM, which runs in a process of its own and takes 20 ms
a message; in batches of 500, as the worker has them, and beside it the SDK's own `send_each`. Each
run is a new process, whose first batch gets an access token and opens the connections. Exit code 1
below 200 a second. Rates are by the clock, from the second batch on; memory is the process's most.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import batched

import firebase_admin
from firebase_admin import _http_client, credentials, messaging
from requests.adapters import HTTPAdapter
from rich.console import Console

from benchmarks.command_line import parser
from benchmarks.results import Comparison, Section, publish
from fieldgate.push import PushMessage
from fieldgate.push.fcm import THREADS, FcmPusher
from fieldgate.push.fcm_messages import build
from tests.support.fcm import run_fcm

LEAST_A_SECOND = 200
BATCH = 500
SEND_SECONDS = 60
WAYS = ("ours", "sdk")

type Figures = dict[str, float]
type SendBatch = Callable[[list[PushMessage]], int]
"""Hands a batch over; returns how many of it were taken."""

_say = Console(stderr=True).print


def main() -> int:
    options = _options()
    if options.serve:
        return _serve(options.latency)
    if options.way:
        print(json.dumps(_run(options.way, json.load(sys.stdin), options.messages)))
        return 0
    with _server(options.latency) as settings:
        _say(f"{options.messages:,} messages, {options.latency * 1000:.0f} ms each")
        figures: dict[str, list[Figures]] = {way: [] for way in WAYS}
        for _ in range(options.runs):
            for way, runs in figures.items():
                runs.append(_in_a_process(way, settings, options.messages))
    return publish(section(figures["ours"], figures["sdk"], options))


def _run(way: str, settings: dict[str, str], number: int) -> Figures:
    """Send so many messages; return messages a second, microseconds each, threads, and MB."""
    batches = [list(batch) for batch in batched(_messages(number + BATCH), BATCH, strict=False)]
    began = time.perf_counter()
    send = (_ours if way == "ours" else _sdk)(settings)
    assert send(batches[0]) == len(batches[0])
    first = time.perf_counter() - began
    with ThreadPoolExecutor(1) as watcher:
        stop = threading.Event()
        watched = watcher.submit(_most_threads, stop)
        began, began_work = time.perf_counter(), time.process_time()
        for batch in batches[1:]:
            assert send(batch) == len(batch)
        seconds, work = time.perf_counter() - began, time.process_time() - began_work
        stop.set()
        most = watched.result()
    return {
        "rate": number / seconds,
        "microseconds": work / number * 1e6,
        "first": first,
        "threads": most,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _ours(settings: dict[str, str]) -> SendBatch:
    pusher = FcmPusher(
        lambda: settings["FIREBASE_CREDENTIALS"],
        settings["FIREBASE_PROJECT_ID"],
        settings["FIREBASE_URL"],
    )

    def send(batch: list[PushMessage]) -> int:
        outcomes = pusher.send_each(batch, SEND_SECONDS)
        return sum(outcome.verdict == "sent" for outcome in outcomes)

    return send


def _sdk(settings: dict[str, str]) -> SendBatch:
    """Send by the SDK as it comes, but for the address, and with the pool it has for Google's."""
    account = json.loads(settings["FIREBASE_CREDENTIALS"])
    app = firebase_admin.initialize_app(credentials.Certificate(account))
    service = messaging._get_messaging_service(app)
    url = settings["FIREBASE_URL"]
    service._fcm_url = f"{url}/v1/projects/{settings['FIREBASE_PROJECT_ID']}/messages:send"
    adapter = HTTPAdapter(
        pool_connections=100, pool_maxsize=100, max_retries=_http_client.DEFAULT_RETRY_CONFIG
    )
    service._client.session.mount(url, adapter)

    def send(batch: list[PushMessage]) -> int:
        answer = messaging.send_each([build(message) for message in batch], app=app)
        return int(answer.success_count)

    return send


def _messages(number: int) -> Iterator[PushMessage]:
    for place in range(number):
        yield PushMessage(
            address=f"bench-{place:06}-{'x' * 140}",
            address_kind="token",
            title="7 lots expire this week",
            body="Maize in Eldoret, beans in Kitale and five others.",
            channel="stock_expiry",
            collapse_key="stock_expiry:eldoret",
            badge=3,
            data={"notificationId": "01989f3c-7a5e-7b7e-8a34-52b1c0a9d001", "kind": "stock_expiry"},
        )


def _most_threads(stop: threading.Event) -> int:
    """Return how many threads there were at most, this one left out."""
    most = 0
    while not stop.wait(0.005):
        most = max(most, threading.active_count())
    return most - 2


def _in_a_process(way: str, settings: dict[str, str], messages: int) -> Figures:
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.push", "--way", way, "--messages", str(messages)],
        input=json.dumps(settings),
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    figures: Figures = json.loads(ran.stdout)
    return figures


@contextmanager
def _server(latency: float) -> Iterator[dict[str, str]]:
    """Run the stand-in in a process of its own; yields the settings that lead to it."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.push", "--serve", "--latency", str(latency)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.stdin.close()  # which ends it


def _serve(latency: float) -> int:
    with run_fcm(latency_seconds=latency) as fcm:
        print(json.dumps(fcm.settings), flush=True)
        sys.stdin.read()
    return 0


def section(ours: list[Figures], sdk: list[Figures], options: argparse.Namespace) -> Section:
    """Return the figures as they are published."""
    rate = statistics.median(run["rate"] for run in ours)

    limits = (
        f"{THREADS} threads wait {options.latency * 1000:.0f} ms for each message, and the rest is"
        " the processor's time that the SDK's own requests take."
    )

    def compared(what: str, unit: str, key: str, goal: str = "") -> Comparison:
        return Comparison(
            what,
            unit,
            [run[key] for run in ours],
            [run[key] for run in sdk],
            "firebase-admin's send_each",
            goal,
            rate >= LEAST_A_SECOND if goal else None,
            more_is_better=key == "rate",
            limits=limits if goal else "",
        )

    return Section(
        "push",
        "Pushes to FCM",
        f"{options.messages:,} messages in batches of {BATCH}, as the worker has them, to a"
        f" stand-in of FCM in a process of its own that takes {options.latency * 1000:.0f} ms"
        " a message; beside it the SDK as it comes. Each run is a new process, whose first batch"
        " gets an access token and opens the connections; rates are from the second batch on.",
        [
            compared("messages handed over", "messages/s", "rate", f"at least {LEAST_A_SECOND}"),
            compared("processor's time a message", "us", "microseconds"),
            compared(f"first batch of {BATCH}", "s", "first"),
            compared("most at once", "threads", "threads"),
            compared("memory at most", "MiB", "memory"),
        ],
        notes=[
            "Loopback has no TLS.",
            (
                f"Ours sends the SDK's own requests from {THREADS} threads that are kept. What it"
                " adds is an end to waiting, and no more threads the more messages there are."
            ),
        ],
    )


def _options() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--messages", type=int, default=2_000)
    made.add_argument("--latency", type=float, default=0.02, help="seconds a message takes FCM")
    made.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    made.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    return made.parse_args()


if __name__ == "__main__":
    sys.exit(main())
