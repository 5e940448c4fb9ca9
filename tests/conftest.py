"""What every test may ask for: a real PostgreSQL, a migrated database of its own, a `Database`."""

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from pg8000 import dbapi

from fieldgate import config
from fieldgate.db.engine import Database
from fieldgate.db.migrate import migrate
from fieldgate.db.url import parse_url
from local.postgres import PostgresServer, start_postgres

TEMPLATE = "migrated_template"
MEMORY_BYTES = 1 << 30
_numbers = count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server for the whole run, with a migrated database to copy."""
    # Not pytest's directory: where we are root the server is another user, and pytest closes its
    # directories to others each time it starts.
    directory = Path(tempfile.mkdtemp(prefix="fieldgate-postgres-", dir=_memory()))
    try:
        with start_postgres(directory / "data", free_port(), durable=False) as server:
            run_sql(server.url, f"CREATE DATABASE {TEMPLATE}")
            migrate(lambda: parse_url(in_database(server.url, TEMPLATE), "the test"))
            config.forget()
            yield server
    finally:
        shutil.rmtree(directory)


@pytest.fixture
def empty_database_url(postgres: PostgresServer) -> Iterator[str]:
    """The URL of a database with nothing in it, this test's own."""
    yield from _fresh_database(postgres, "template1")


@pytest.fixture
def database_url(postgres: PostgresServer) -> Iterator[str]:
    """The URL of a migrated database, this test's own."""
    yield from _fresh_database(postgres, TEMPLATE)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A `Database` on this test's own migrated database."""
    database = Database(lambda: parse_url(database_url, "the test"))
    yield database
    database.close()


def _memory() -> Path | None:
    """Where files are kept in memory, if there is room: a database is copied 15 times as fast."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > MEMORY_BYTES
    return memory if roomy and os.access(memory, os.W_OK) else None


def free_port() -> int:
    """Return a port of 127.0.0.1 that nothing listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def in_database(url: str, name: str) -> str:
    """Return `url` for another database of the same server."""
    return f"{url.rpartition('/')[0]}/{name}"


def run_sql(url: str, *statements: str) -> list[tuple[object, ...]]:
    """Run statements, each by itself, past everything of ours; return the last one's rows."""
    address = parse_url(url, "the test")
    connection = dbapi.connect(
        user=address.username,
        password=address.password,
        host=address.host,
        port=address.port,
        database=address.database,
        ssl_context=False,
    )
    try:
        connection.autocommit = True
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement)
        return [tuple(row) for row in cursor.fetchall()] if cursor.description else []
    finally:
        connection.close()


def _fresh_database(postgres: PostgresServer, template: str) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    run_sql(postgres.url, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    yield in_database(postgres.url, name)
    run_sql(postgres.url, f"DROP DATABASE {name} WITH (FORCE)")
