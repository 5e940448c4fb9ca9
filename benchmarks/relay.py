"""The relay: how fast committed changes become events, and what a broadcast costs where many are.

    python -m benchmarks.relay [--runs 5] [--rows 10000]

A real PostgreSQL on this machine, with durable commits. Rows are new media of different owners,
recorded by the trigger, with 200 ready connections; the workers' queue is only counted, as it is
not the relay's speed that it has. Then one broadcast to everybody is dispatched where there are
10,000 and 100,000 connections, and a minute's sweep of as many is timed. Exit code 1 when the
limit of 5 seconds for 10,000 rows is broken. Times are by the clock, the median of the runs.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path

from rich.console import Console
from sqlalchemy import Connection, text

from benchmarks.command_line import parser
from benchmarks.results import Comparison, Section, Table, publish
from fieldgate import settings
from fieldgate.db.engine import Database, DatabaseSettings
from fieldgate.db.migrate import migrate
from fieldgate.db.url import parse_url
from local.postgres import start_postgres
from realtime import relaying, sweep_store
from realtime.fan_out_queue import MOST_CONNECTIONS, Task
from realtime.relaying import relay
from tests.support.ports import free_port

LIMIT_SECONDS = 5
CONNECTIONS = 200
MANY = (10_000, 100_000)
USERS = 1_000
MOST_AT_ONCE = 10_000  # rows that one statement has the time for

_say = Console(stderr=True).print

_ADD_USERS = """
    INSERT INTO users (name, phone)
    SELECT 'Grower', '+2547' || lpad(CAST(number AS text), 8, '0')
    FROM generate_series(1, :number) AS number"""
# Some follow a channel; each has a session that is alive.
_CONNECT = """
    WITH numbered AS (
        SELECT id AS user_id, row_number() OVER (ORDER BY id) - 1 AS place FROM users
    ),
    begun AS (
        INSERT INTO sessions (user_id, profile, current_hash, expires_at)
        SELECT user_id, 'mobile', '', now() + interval '1 day'
        FROM generate_series(1, :number) AS number JOIN numbered ON place = mod(number, :users)
        RETURNING id, user_id
    )
    INSERT INTO realtime_connections (id, user_id, session_id, token_expires_at, dialect, ready_at,
        channels, sent_offset, wanted_offset)
    SELECT CAST(begun.id AS text), user_id, begun.id, now() + interval '1 hour', 'signalr', now(),
        CASE WHEN random() < 0.1 THEN ARRAY['stock', 'shipments'] ELSE '{}' END, head, head
    FROM begun CROSS JOIN realtime_stream"""
_ADD_MEDIA = """
    WITH numbered AS (
        SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM users
    )
    INSERT INTO media (owner_id, folder, filename, content_type, size, object_key)
    SELECT id, 'farmers', 'leaf.jpg', 'image/jpeg', 5, gen_random_uuid()
    FROM generate_series(1, :number) AS number JOIN numbered ON place = mod(number, :users)"""
_BROADCAST = """
    INSERT INTO realtime_broadcasts (entity_type, entity_id, action, audiences, created_by)
    SELECT 'stock', '*', 'updated', '{all}', id FROM users LIMIT 1"""


class Queue:
    """The workers' queue; it only counts."""

    def __init__(self) -> None:
        self.messages = 0

    def ask_for(self, _task: Task, connections: Sequence[str]) -> None:
        self.messages += -(-len(connections) // MOST_CONNECTIONS)


def main() -> int:
    arguments = _arguments()
    found: list[Comparison] = []
    messages: list[tuple[str, str]] = []
    with running() as database:
        execute(database, _ADD_USERS, number=USERS)
        connect(database, CONNECTIONS)
        timed(lambda: relay(database, Queue().ask_for))
        _say(f"{arguments.rows:,} rows, {CONNECTIONS} connections")
        moved = [move(database, arguments.rows) for _ in range(arguments.runs)]
        seconds = [run[0] for run in moved]
        what = f"{arguments.rows:,} rows of the outbox"
        met = statistics.median(seconds) <= LIMIT_SECONDS
        found.append(Comparison(what, "s", seconds, goal=f"at most {LIMIT_SECONDS}", met=met))
        messages.append((what, f"{moved[0][1].messages:,}"))
        for number in MANY:
            connect(database, number)
            measure_many(database, number, arguments.runs, found, messages)
    return publish(section(found, messages))


def section(found: list[Comparison], messages: list[tuple[str, str]]) -> Section:
    """Return the figures as they are published."""
    return Section(
        "relay",
        "The relay: from committed changes to events",
        "A PostgreSQL on this machine, with durable commits. Rows are new media of different"
        f" owners, with {CONNECTIONS} ready connections. Then one change for everybody, and one for"
        " its owner, are announced where many are connected, and a minute's sweep looks for"
        " connections that are due, and for those that are over.",
        found,
        [Table("Messages to the workers of the fan-out", ["of", "messages"], messages)],
    )


def measure_many(
    database: Database,
    number: int,
    runs: int,
    found: list[Comparison],
    messages: list[tuple[str, str]],
) -> None:
    """Measure what there is to do where so many are connected."""
    _say(f"{number:,} connections")
    for what, statement in (("broadcast", _BROADCAST), ("media", _ADD_MEDIA)):
        told = [tell(database, statement) for _ in range(runs)]
        found.append(Comparison(f"{what}, {number:,} connected", "s", [run[0] for run in told]))
        messages.append((f"{what}, {number:,} connected", f"{told[0][1].messages:,}"))
    for what, query in (("due", sweep_store.unsent), ("over", sweep_store.over)):
        find = partial(query, after="", batch=number)
        seconds = [timed(partial(database.read, find)) for _ in range(runs)]
        found.append(Comparison(f"finding who is {what}, {number:,} connected", "s", seconds))


def move(database: Database, rows: int) -> tuple[float, Queue]:
    """Record new media, and time the relay that announces them."""
    for _ in range(rows // 1_000):
        execute(database, _ADD_MEDIA, number=1_000, users=USERS)
    queue = Queue()
    seconds = timed(lambda: relay(database, queue.ask_for))
    return seconds, queue


def tell(database: Database, statement: str) -> tuple[float, Queue]:
    """Change something, and time the batch that owes it to whoever is concerned."""
    parameters = {"number": 1, "users": USERS} if ":number" in statement else {}
    execute(database, statement, **parameters)
    queue = Queue()

    def dispatch() -> None:
        queue.ask_for("send", database.transact(relaying.dispatch).owed)

    return timed(dispatch), queue


def connect(database: Database, number: int) -> None:
    """Have so many connections, and no others. Their sessions are kept from the change log."""

    def fill(connection: Connection) -> None:
        connection.execute(text("ALTER TABLE sessions DISABLE TRIGGER USER"))
        connection.execute(text("DELETE FROM realtime_connections"))
        connection.execute(text("DELETE FROM sessions"))
        for beginning in range(0, number, MOST_AT_ONCE):
            values = {"number": min(number - beginning, MOST_AT_ONCE), "users": USERS}
            connection.execute(text(_CONNECT), values)
        connection.execute(text("ALTER TABLE sessions ENABLE TRIGGER USER"))

    database.transact(fill)
    execute(database, "ANALYZE realtime_connections, sessions, users")


def execute(database: Database, statement: str, **values: int) -> None:
    database.transact(lambda connection: connection.execute(text(statement), values))


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    with redirect_stdout(StringIO()):  # metrics are printed
        work()
    return time.perf_counter() - began


@contextmanager
def running() -> Iterator[Database]:
    """A migrated database on a server of its own, until the block is left."""
    with (
        tempfile.TemporaryDirectory(prefix="fieldgate-relay-") as folder,
        start_postgres(Path(folder) / "data", free_port(), durable=True) as server,
    ):
        migrate(lambda: parse_url(server.url, "the benchmark"))
        settings.forget()
        # What fills the tables takes longer than a function may.
        patient = DatabaseSettings.model_validate(
            {"DATABASE_CALL_SECONDS": 120, "DATABASE_STATEMENT_SECONDS": 10}
        )
        database = Database(lambda: parse_url(server.url, "the benchmark"), patient)
        with closing(database):
            yield database


def _arguments() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--rows", type=int, default=10_000)
    return made.parse_args()


if __name__ == "__main__":
    sys.exit(main())
