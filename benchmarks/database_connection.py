"""What our one connection costs besides its statements: kept, lost, opened again."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
from sqlalchemy import text

from benchmarks.results import Table
from fieldgate.db.connecting import tls_context
from fieldgate.db.engine import Database
from fieldgate.db.url import parse_url
from local.postgres import start_postgres
from tests.support.ports import free_port

TIMES = 20
_ONE, _BACKEND = text("SELECT 1"), text("SELECT pg_backend_pid()")


def connection_table(folder: Path) -> Table:
    """Measure on a server of its own, in `folder`, which is stopped and started."""
    data, port = folder / "data", free_port()
    with start_postgres(data, port, durable=False) as server:
        database = Database(lambda: parse_url(server.url, "the benchmark"))
        kept = milliseconds(lambda: database.read(lambda _: None), 2_000)
        ended = statistics.median(after_the_end(database, server.url) for _ in range(TIMES))
    with start_postgres(data, port, durable=False):
        restarted = milliseconds(lambda: database.read(lambda c: c.scalar(_ONE)), 1)
        database.close()
    began = time.process_time()
    tls_context("")
    certificates = (time.process_time() - began) * 1000
    rows = [
        ("take it, see that it lives, give it back", f"{kept:.3f}"),
        ("a read after the server ended the session, which it doesn't notice", f"{ended:.1f}"),
        ("the first read after the server was restarted, likewise", f"{restarted:.1f}"),
        ("the system's certificates, once a process, where there is TLS", f"{certificates:.1f}"),
    ]
    return Table("The connection of our layer", ("", "ms"), rows)


def after_the_end(database: Database, url: str) -> float:
    """Have the server end the session; return how long the read after that takes."""
    process = database.read(lambda c: c.scalar(_BACKEND))
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(%s, 5000)", (process,))
    return milliseconds(lambda: database.read(lambda c: c.scalar(_ONE)), 1)


def milliseconds(work: Callable[[], object], times: int) -> float:
    work_began = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - work_began) * 1000 / times
