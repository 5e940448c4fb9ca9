"""Posting to connections, measured beside boto3's `post_to_connection`.

    python -m benchmarks.fan_out [--posts 10000] [--runs 5] [--latency 0.01] [--without-boto3]

One worker process posts frames of an ordinary size to a loopback @connections, which runs in a
process of its own and takes 10 ms for an answer, as API Gateway does from within its region. Posts
a second are by the clock, the processor's time is this process's alone; TLS, which loopback has
none of, is not in it. Beside it stands what whole runs come to, 500 connections a message: claimed,
posted to and given back, with a database on the same machine. Exit code 1 when a limit below is
broken; figures over their limit are taken anew, since the machine may be busy with something else.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from io import StringIO
from itertools import batched
from pathlib import Path

from rich.console import Console

from benchmarks.command_line import parser
from benchmarks.results import Comparison, Section, publish
from fieldgate.db.engine import Database
from fieldgate.db.migrate import migrate
from fieldgate.db.url import parse_url
from local.postgres import start_postgres
from realtime import signalr
from realtime.fan_out_queue import MOST_CONNECTIONS, Work
from realtime.fanning_out import send_owed
from realtime.posting import AT_ONCE, Outcome, Poster, at_once
from tests.support.connections_api import ACCESS_KEY, REGION, SECRET_KEY, TOKEN, LoopbackApi
from tests.support.fan_out import Switchboard, line_to
from tests.support.ports import free_port
from tests.support.stream import Stream, new_event

LEAST_POSTS_A_SECOND = 4_500
MOST_MICROSECONDS = 150
TRIES = 3  # to find the machine idle
VERIFY_EVERY = 100  # of the signatures, one: botocore's verifying takes longer than posting
BOTO3_SHARE = 5  # of the posts, boto3 makes a fifth
FRAME = signalr.invocation(
    "DataChanged",
    {
        "entityType": "media",
        "entityId": "01989f3c-7a5e-7b7e-8a34-52b1c0a9d001",
        "action": "updated",
        "timestamp": datetime(2026, 3, 10, tzinfo=UTC).isoformat(),
        "epoch": "01989f3c-7a5e-7b7e-8a34-52b1c0a9d002",
        "offset": 12_345,
    },
).encode()

_say = Console(stderr=True).print


@dataclass
class Figures:
    """Of one way to post, run after run."""

    posts_a_second: list[float] = field(default_factory=list)
    microseconds: list[float] = field(default_factory=list)  # of processor's time, a post

    @property
    def is_fast(self) -> bool:
        return statistics.median(self.posts_a_second) >= LEAST_POSTS_A_SECOND

    @property
    def is_cheap(self) -> bool:
        return statistics.median(self.microseconds) <= MOST_MICROSECONDS

    def measure(self, posts: int, work: Callable[[], None]) -> None:
        began, began_work = time.perf_counter(), time.process_time()
        work()
        self.microseconds.append((time.process_time() - began_work) / posts * 1e6)
        self.posts_a_second.append(posts / (time.perf_counter() - began))


def main() -> int:
    arguments = _arguments()
    with serving(arguments.latency) as endpoint:
        _say(f"{arguments.posts:,} posts, {AT_ONCE} at once, and fewer by boto3, in turns")
        for _ in range(TRIES):
            ours, boto3 = post_in_turns(endpoint, arguments)
            if ours.is_fast and ours.is_cheap:
                break
        _say(f"the same in runs of {MOST_CONNECTIONS}, with the database")
        whole = post_in_runs(endpoint, arguments.posts, arguments.runs)
    return publish(section(ours, whole, boto3, arguments.latency))


def post_in_turns(endpoint: str, arguments: argparse.Namespace) -> tuple[Figures, Figures]:
    """Post by our own client and by boto3's, in turns; returns what each came to."""
    ours, boto3 = Figures(), Figures()
    share = arguments.posts // BOTO3_SHARE
    for _ in range(arguments.runs):
        ours.measure(arguments.posts, lambda: post(endpoint, arguments.posts))
        if not arguments.without_boto3:
            boto3.measure(share, lambda: post_by_boto3(endpoint, share))
    return ours, boto3


def post(endpoint: str, posts: int) -> None:
    """Post as a run does that has so many connections to post to."""
    outcomes: set[Outcome] = set()

    async def run(poster: Poster) -> None:
        async def one(number: int) -> None:
            outcomes.add(await poster.post(_connection_id(number), FRAME))

        await at_once(range(posts), one)

    with closing(line_to(endpoint)) as line:
        line.run(run)
    assert outcomes == {"delivered"}, outcomes


def post_in_runs(endpoint: str, posts: int, runs: int) -> Figures:
    """Announce an event to so many connections and have it sent, message by message."""
    figures = Figures()
    with (
        tempfile.TemporaryDirectory(prefix="fieldgate-fan-out-") as directory,
        start_postgres(Path(directory) / "data", free_port(), durable=False) as server,
        closing(Database(lambda: parse_url(server.url, "the benchmark"))) as database,
        closing(line_to(endpoint)) as line,
        redirect_stdout(StringIO()),  # metrics are printed
    ):
        migrate(lambda: parse_url(server.url, "the benchmark"))
        board = Switchboard(database, LoopbackApi(), Stream(database))
        names = board.connect_many(posts, board.stream.add_user("agent"))

        def send() -> None:
            for part in batched(names, MOST_CONNECTIONS, strict=False):
                left = line.run(
                    partial(send_owed, database, work=Work(task="send", connections=part))
                )
                assert not left

        for _ in range(runs):
            board.announce(new_event("all"))
            figures.measure(posts, send)
        assert not board.stream.owed()
    return figures


def post_by_boto3(endpoint: str, posts: int) -> None:
    """Do the same by AWS's own client."""
    import boto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    client = boto3.client(
        "apigatewaymanagementapi",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        aws_session_token=TOKEN,
        config=Config(max_pool_connections=AT_ONCE, retries={"total_max_attempts": 1}),
    )

    def one(number: int) -> None:
        client.post_to_connection(ConnectionId=_connection_id(number), Data=FRAME)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        for _ in threads.map(one, range(posts)):
            pass
    client.close()


@contextmanager
def serving(latency: float) -> Iterator[str]:
    """Run the other side until the block is left; yields its address."""
    command = [sys.executable, "-m", "benchmarks.connections_server"]
    command += ["--latency", str(latency), "--verify-every", str(VERIFY_EVERY)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin
        assert server.stdout
        try:
            yield server.stdout.readline().strip()
        finally:
            server.stdin.close()
            said = json.loads(server.stdout.read())
    assert said["answers"].keys() == {"200"}, said


def _connection_id(number: int) -> str:
    return f"L0SM9cOF{number:07}="


def section(ours: Figures, whole: Figures, boto3: Figures, latency: float) -> Section:
    """Return the figures as they are published."""
    against = "boto3's post_to_connection" if boto3.microseconds else ""
    return Section(
        "fan_out",
        "Fan-out: posting to connections",
        f"One worker posts frames of an ordinary size to an @connections on loopback, in a process"
        f" of its own, that takes {latency * 1000:.0f} ms for an answer; boto3 does the same from"
        f" as many threads. Whole runs are {MOST_CONNECTIONS} connections a message: claimed,"
        " posted to and given back, with a database on the same machine.",
        [
            Comparison(
                "posts from one worker",
                "posts/s",
                ours.posts_a_second,
                boto3.posts_a_second,
                against,
                f"at least {LEAST_POSTS_A_SECOND:,}",
                ours.is_fast,
                more_is_better=True,
            ),
            Comparison(
                "processor's time a post",
                "us",
                ours.microseconds,
                boto3.microseconds,
                against,
                f"at most {MOST_MICROSECONDS}",
                ours.is_cheap,
            ),
            Comparison("posts in whole runs", "posts/s", whole.posts_a_second, more_is_better=True),
            Comparison("processor's time a post in whole runs", "us", whole.microseconds),
        ],
        notes=[
            (
                "Loopback has no TLS. Connections are kept open for many posts, so that on AWS it"
                " is the handshakes of a worker's first posts that are added."
            ),
            (
                f"Figures over their limit are taken anew, up to {TRIES} times, as the machine"
                " may be busy with something else."
            ),
        ],
    )


def _arguments() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--posts", type=int, default=10_000)
    made.add_argument("--latency", type=float, default=0.01, help="of an answer, in seconds")
    made.add_argument("--without-boto3", action="store_true")
    return made.parse_args()


if __name__ == "__main__":
    sys.exit(main())
