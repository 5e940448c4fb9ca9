"""The daily alert over 100,000 lots: how long it takes, and how much memory.

    python -m benchmarks.expiry_alerts [--lots 100000] [--runs 5]

A real PostgreSQL on this machine, with durable commits. Each round is made by a fresh interpreter,
as a function's first event is: its seconds are by the clock, connecting among them, its memory is
the peak of the whole process. Lots are spread over a year and 40 warehouses, and looked at on the
first day of all, on the day after, and once more on that day; or all of them are in one warehouse
and come within a threshold on the same day, and within the next one a week later. Exit code 1 when
a round takes 10 seconds, or 256 MB, or opens, closes or tells of other alerts than it should. Linux
only: the peak is VmHWM.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager, redirect_stdout
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console
from sqlalchemy import Connection, text

from benchmarks.command_line import parser
from benchmarks.resident_memory import resident_mib
from benchmarks.results import Comparison, Section, Table, publish
from fieldgate import settings
from fieldgate.db.engine import Database, DatabaseSettings
from fieldgate.db.migrate import migrate
from fieldgate.db.url import parse_url
from local.postgres import start_postgres
from tests.support.ports import free_port

LIMIT_SECONDS = 10
LIMIT_MB = 256
WAREHOUSES = 40
DAYS = 365
MOST_AT_ONCE = 50_000  # rows that one statement has the time for
MANAGERS = 50
WHAT = ("opened", "closed", "told")
TODAY = datetime(2026, 3, 2, 9, tzinfo=UTC)
_ROOT = Path(__file__).parents[1]

_say = Console(stderr=True).print

_ADD_MANAGERS = """
    WITH added AS (
        INSERT INTO users (name, phone)
        SELECT 'Manager', '+2547' || lpad(CAST(number AS text), 8, '0')
        FROM generate_series(1, :number) AS number
        RETURNING id
    )
    INSERT INTO user_roles (user_id, role) SELECT id, 'warehouse_manager' FROM added"""
_RECORDED = ("warehouses", "stock_lots", "stock_losses")
_EMPTY = "TRUNCATE stock_alerts, stock_losses, stock_lots, warehouses"
_ADD_WAREHOUSES = """
    INSERT INTO warehouses (name, time_zone)
    SELECT 'Warehouse ' || number, 'Africa/Nairobi'
    FROM generate_series(0, :number - 1) AS number"""
_ADD_LOTS = """
    INSERT INTO stock_lots (product, warehouse, unit, received, quantity, expires_on, created_by)
    SELECT 'Hybrid maize seed', 'Warehouse ' || mod(number, :warehouses), 'kg', 50, 40,
        CAST(:first AS date) + mod(number / :warehouses, :days),
        (SELECT id FROM users LIMIT 1)
    FROM generate_series(CAST(:begin AS integer), CAST(:end AS integer) - 1) AS number"""


@dataclass(frozen=True)
class Cost:
    """What a round came to."""

    seconds: float
    megabytes: float
    done: dict[str, int]


@dataclass(frozen=True)
class Rounds:
    """A round by name, all its runs, and what each was to do."""

    name: str
    costs: Sequence[Cost]
    expected: dict[str, int]

    def comparisons(self) -> list[Comparison]:
        """Return its seconds, its memory, and in how many runs it did something else."""
        seconds = [cost.seconds for cost in self.costs]
        megabytes = [cost.megabytes for cost in self.costs]
        wrong = sum(cost.done != self.expected for cost in self.costs)
        limits = f"under {LIMIT_SECONDS}", f"under {LIMIT_MB}"
        name = self.name
        return [
            Comparison(name, "s", seconds, goal=limits[0], met=max(seconds) < LIMIT_SECONDS),
            Comparison(name, "MiB", megabytes, goal=limits[1], met=max(megabytes) < LIMIT_MB),
            Comparison(name, "runs with other alerts", [wrong], goal="none", met=wrong == 0),
        ]

    def done(self) -> list[str]:
        """Return the row of what it did."""
        return [self.name, *(f"{self.costs[0].done.get(what, 0):,}" for what in WHAT)]


def main(arguments: argparse.Namespace) -> int:
    with running() as (url, database):
        runs = [measure(url, database, arguments.lots) for _ in range(arguments.runs)]
    rounds = [
        Rounds(costs[0][0], [cost for _, cost, _ in costs], costs[0][2])
        for costs in zip(*runs, strict=True)
    ]
    return publish(section(rounds, arguments.lots))


def section(rounds: Sequence[Rounds], lots: int) -> Section:
    """Return the figures as they are published."""
    return Section(
        "expiry_alerts",
        f"The daily alert over {lots:,} lots",
        "A PostgreSQL on this machine, with durable commits; each round is made by a fresh"
        f" interpreter. Lots are spread over a year and {WAREHOUSES} warehouses, or all in one"
        " warehouse, where they come within a threshold on the same day. A limit holds for the"
        " worst of the runs.",
        [comparison for each in rounds for comparison in each.comparisons()],
        [Table("What a round does", ["round", *WHAT], [each.done() for each in rounds])],
    )


def measure(url: str, database: Database, lots: int) -> list[tuple[str, Cost, dict[str, int]]]:
    """Make each round once; return its name, its cost, and what it was to do."""
    found = []

    def look(name: str, at: datetime, expected: dict[str, int]) -> None:
        _say(name)
        cost = in_fresh_process(url, at)
        found.append((name, cost, {"closed": 0, "opened": 0, "told": 0} | expected))

    # In each warehouse lots expire on one day after another, and begin anew after a year.
    fill(database, lots, WAREHOUSES, first=TODAY, days=DAYS)
    due = expiring(lots, range(31))
    look("spread, first of all", TODAY, {"opened": due, "told": due})
    new, moved = expiring(lots, [31]), expiring(lots, [0, 2, 8, 15])
    expected = {"opened": new + moved, "told": new + moved, "closed": moved}
    look("spread, the day after", TODAY + timedelta(days=1), expected)
    look("spread, once more", TODAY + timedelta(days=1), {})
    fill(database, lots, 1, first=TODAY + timedelta(days=14), days=1)
    look("one warehouse, all at once", TODAY, {"opened": lots, "told": lots})
    expected = {"opened": lots, "told": lots, "closed": lots}
    look("one warehouse, a week later", TODAY + timedelta(days=7), expected)
    look("one warehouse, once more", TODAY + timedelta(days=7), {})
    return found


def expiring(lots: int, days: Collection[int]) -> int:
    """Count the lots that expire so many days after the first, where they are spread."""
    return sum(number // WAREHOUSES % DAYS in days for number in range(lots))


def fill(database: Database, lots: int, warehouses: int, first: datetime, days: int) -> None:
    """Have so many lots, and no others. They are kept from the change log."""

    def change(connection: Connection) -> None:
        for table in _RECORDED:
            connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        connection.execute(text(_EMPTY))
        connection.execute(text(_ADD_WAREHOUSES), {"number": warehouses})
        for begin in range(0, lots, MOST_AT_ONCE):
            values: dict[str, Any] = {"begin": begin, "end": min(begin + MOST_AT_ONCE, lots)}
            values |= {"warehouses": warehouses, "first": first.date(), "days": days}
            connection.execute(text(_ADD_LOTS), values)
        for table in _RECORDED:
            connection.execute(text(f"ALTER TABLE {table} ENABLE TRIGGER USER"))

    database.transact(change)
    database.transact(lambda connection: connection.execute(text("ANALYZE stock_lots")))


def in_fresh_process(url: str, at: datetime) -> Cost:
    """Have a fresh interpreter make a round."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.expiry_alerts", "--round", at.isoformat()],
        cwd=_ROOT,
        env=os.environ
        | {
            "PYTHONPATH": f"{_ROOT}:{_ROOT / 'functions'}:{_ROOT / 'layers/common'}",
            "DATABASE_URL": url,
        },
        stdout=subprocess.PIPE,
        check=True,
        timeout=120,
    )
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def make_round(at: datetime) -> Cost:
    """Make a round here and now, as the function does."""
    # Only this process, not the one that prints the table, has functions/ on its path.
    from fieldgate.db.engine import database  # noqa: PLC0415
    from fieldgate.push.notifying import wake_pushers  # noqa: PLC0415
    from stock.alerting import alert  # noqa: PLC0415

    began = time.perf_counter()
    with redirect_stdout(StringIO()):  # metrics are printed
        done = alert(database(), wake_pushers, at)
    return Cost(time.perf_counter() - began, resident_mib("VmHWM"), done)


@contextmanager
def running() -> Iterator[tuple[str, Database]]:
    """A migrated database on a server of its own, with managers, until the block is left."""
    with (
        tempfile.TemporaryDirectory(prefix="fieldgate-alerts-") as folder,
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
            database.transact(
                lambda connection: connection.execute(text(_ADD_MANAGERS), {"number": MANAGERS})
            )
            yield server.url, database


def _arguments() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--lots", type=int, default=100_000)
    made.add_argument("--round", type=datetime.fromisoformat, help=argparse.SUPPRESS)
    return made.parse_args()


if __name__ == "__main__":
    arguments = _arguments()
    if arguments.round:
        print(json.dumps(asdict(make_round(arguments.round))))
    else:
        sys.exit(main(arguments))
