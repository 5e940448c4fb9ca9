"""The database through our layer, by psycopg 3, and by SQLAlchemy's ORM.

    python -m benchmarks.database [--runs 5]

A real PostgreSQL on this machine, over TCP, one connection each, in turns. There is no goal: it is
to be known what a request pays for the layer, and a cold start for its driver.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
from rich.console import Console

from benchmarks.command_line import parser
from benchmarks.database_connection import connection_table
from benchmarks.database_ways import PAGE, SCHEMA, WAYS, Row, Way
from benchmarks.driver_imports import imports, imports_table
from benchmarks.results import Comparison, Section, Table, publish
from benchmarks.round_trips import counting
from local.postgres import start_postgres
from tests.support.ports import free_port

MANY = 500
SEEDED = 10_000
TIMES = {"connect": 20, "read": 300, "page": 100, "insert": 200, "many": 10}
WHAT = {
    "connect": "connect and first read",
    "read": "read by primary key",
    "page": f"page of {PAGE} rows",
    "insert": "transaction of one insert",
    "many": f"transaction of {MANY} rows",
}
# Between a function and a database of its region and zone.
NETWORK_MS = 0.5

INTRO = f"""
The same work on the same server and tables over TCP on loopback, one connection each, in turns:
through our layer (`fieldgate.db`: SQLAlchemy Core and our class of pg8000's connection), by psycopg
3 with its C extension as its documentation has it, and, in the table, by psycopg in pipeline mode
and COPY, and by SQLAlchemy's ORM over pg8000 with `pool_pre_ping`. Each transaction first tells the
change log who it is for, whoever does it. Times are by the clock, the median of a run's
repetitions; a round trip is counted by a proxy, whenever the client speaks after it has heard.
Loopback hides what a network costs: {NETWORK_MS} ms a round trip within a zone, or more.
"""

_say = Console(stderr=True).print


@dataclass
class Measured:
    """Of one operation by one way: milliseconds of each run, by clock and processor, and trips."""

    clock: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    trips: int = 0


type Found = dict[str, dict[str, Measured]]
"""By operation, by way."""


def main() -> int:
    runs = parser(__doc__).parse_args().runs
    with database() as url:
        ids = seed(url)
        found: Found = {what: {way.name: Measured() for way in WAYS} for what in TIMES}
        for run in range(runs + 1):
            _say("warming up" if run == 0 else f"run {run} of {runs}")
            for way in WAYS:
                measure(way, url, ids, found, kept=run > 0)
        for way in WAYS:
            count_trips(way, url, ids, found)
    with tempfile.TemporaryDirectory(prefix="fieldgate-database-") as folder:
        connection = connection_table(Path(folder))
    return publish(section(found, imports(), connection))


def measure(
    way: Callable[[str], Way], url: str, ids: Sequence[UUID], found: Found, *, kept: bool
) -> None:
    """Do each operation so many times, and keep what it took."""

    def connect() -> None:
        fresh = way(url)
        fresh.read(ids[0])
        fresh.close()

    connected = way(url)
    try:
        for what, work in {"connect": connect, **operations(connected, ids)}.items():
            measured = [timed(work) for _ in range(TIMES[what])]
            if kept:
                of = found[what][connected.name]
                of.clock.append(statistics.median(clock for clock, _ in measured))
                of.processor.append(statistics.mean(processor for _, processor in measured))
    finally:
        connected.close()
    with psycopg.connect(url) as admin:
        admin.execute("TRUNCATE new_lots")


def operations(way: Way, ids: Sequence[UUID]) -> dict[str, Callable[[], Any]]:
    turn = iter(range(1_000_000))
    many = [lot(number) for number in range(MANY)]
    return {
        "read": lambda: way.read(ids[next(turn) % len(ids)]),
        "page": way.page,
        "insert": lambda: way.insert(lot(next(turn))),
        "many": partial(way.insert_many, many),
    }


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return (time.perf_counter() - clock) * 1000, (time.process_time() - processor) * 1000


def count_trips(way: Callable[[str], Way], url: str, ids: Sequence[UUID], found: Found) -> None:
    host, port = "127.0.0.1", int(url.rpartition(":")[2].partition("/")[0])
    with counting(host, port) as counter:
        connected = way(url.replace(f":{port}/", f":{counter.port}/"))
        connected.read(ids[0])
        found["connect"][connected.name].trips = counter.trips
        for what, work in operations(connected, ids).items():
            for _ in range(10):  # until psycopg has prepared it
                before = counter.trips
                work()
            found[what][connected.name].trips = counter.trips - before
        connected.close()


@contextmanager
def database() -> Iterator[str]:
    with (
        tempfile.TemporaryDirectory(prefix="fieldgate-database-") as folder,
        start_postgres(Path(folder) / "data", free_port(), durable=False) as postgres,
    ):
        yield postgres.url


def seed(url: str) -> list[UUID]:
    """Make the tables; return the ids of the rows to read."""
    with psycopg.connect(url) as admin:
        for name in ("lots", "new_lots"):
            admin.execute(SCHEMA.format(name=name).encode())
        row = lot(0)
        admin.cursor().executemany(
            f"INSERT INTO lots ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))})".encode(),
            [list(lot(number).values()) for number in range(SEEDED)],
        )
        admin.execute("ANALYZE")
        return [row[0] for row in admin.execute("SELECT id FROM lots ORDER BY id")]


def lot(number: int) -> Row:
    return {
        "product": f"Maize {number}",
        "warehouse": "Nakuru",
        "unit": "kg",
        "received": Decimal(number % 900 + 100),
        "quantity": Decimal(number % 100),
        "expires_on": date(2027, 1, 1) + timedelta(days=number % 365),
        "created_by": uuid4(),
    }


def section(found: Found, imported: dict[str, list[float]], connection: Table) -> Section:
    pg8000, psycopg_alone, core, core_psycopg, orm = imported.values()
    unit = "ms of processor"
    compared = [
        *(compared_with_psycopg(what, of) for what, of in found.items()),
        Comparison("import of the driver", unit, pg8000, psycopg_alone, "psycopg"),
        Comparison("import of it with SQLAlchemy Core", unit, core, core_psycopg, "psycopg"),
        Comparison("import of it with SQLAlchemy Core", unit, core, orm, "the ORM, pg8000"),
    ]
    return Section(
        name="database",
        title="The database: our layer, psycopg, the ORM",
        intro=INTRO.strip(),
        comparisons=compared,
        tables=[operations_table(found), imports_table(imported), connection],
        notes=notes(found),
    )


def compared_with_psycopg(what: str, of: dict[str, Measured]) -> Comparison:
    unit, scale = ("us", 1000) if what in {"read", "page", "insert"} else ("ms", 1)
    ours, theirs = ([scale * value for value in of[name].clock] for name in ("ours", "psycopg"))
    return Comparison(WHAT[what], unit, ours, theirs, "psycopg")


def operations_table(found: Found) -> Table:
    rows = [
        (
            WHAT[what],
            way,
            str(measured.trips),
            f"{statistics.median(measured.clock):.2f}",
            f"{statistics.median(measured.processor):.2f}",
            f"{over_network(measured):.1f}",
        )
        for what, of in found.items()
        for way, measured in of.items()
    ]
    header = ("", "way", "round trips", "ms", "of them processor", f"at {NETWORK_MS} ms a trip")
    return Table("Each operation by each way", header, rows)


def over_network(measured: Measured) -> float:
    return statistics.median(measured.clock) + measured.trips * NETWORK_MS


def more_than_psycopg(of: dict[str, Measured]) -> float:
    """Return the microseconds of processor that ours takes more."""
    ours, theirs = (statistics.median(of[name].processor) for name in ("ours", "psycopg"))
    return (ours - theirs) * 1000


def notes(found: Found) -> Sequence[str]:
    read, written = (more_than_psycopg(found[what]) for what in ("read", "insert"))
    return (
        (
            f"A request that reads once pays {read:.0f} us of processor for the layer, one that"
            f" writes once {written:.0f} us: SQLAlchemy builds the statement, Python reads rows and"
            " the protocol, deadlines and faults are seen to. Over a network the write is ahead"
            " again, because BEGIN and the context ride with the first statement."
        ),
        (
            "Sent by hand as one pipeline, COMMIT and all, psycopg writes in one trip. `transact`"
            " can't: whether to commit is decided by the work, after it has seen the answers."
        ),
        (
            "Many rows go as one statement with one parameter of JSON, which is less work for both"
            " ends than 500 statements; COPY is less still, and can't skip or return rows."
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
