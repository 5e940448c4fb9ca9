"""What every test may ask for: a real PostgreSQL, a migrated database of its own, a `Database`,
an empty Valkey, and the settings and surroundings of a deployed function.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pg8000 import dbapi
from valkey import Valkey

from fieldgate import settings, tokens
from fieldgate.db import engine
from fieldgate.db.engine import Database
from fieldgate.db.migrate import migrate
from fieldgate.db.url import parse_url
from local.postgres import PostgresServer, start_postgres
from local.valkey import ValkeyServer, start_valkey
from tests.support.log import Log, recorded_log
from tests.support.memory import memory
from tests.support.ports import free_port

if TYPE_CHECKING:  # moto takes a second to load, and most tests need none of it
    from tests.support.s3 import LocalS3
    from tests.support.sqs import LocalSqs

TEMPLATE = "migrated_template"
_numbers = count(1)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give all end-to-end tests to one process: there is one stack, and some change it for all.

    So are those of one file that share a database of a million rows.
    """
    from xdist.scheduler import LoadScopeScheduling

    class OneStack(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            if nodeid.startswith("tests/e2e/"):
                return "tests/e2e"
            return nodeid.partition("::")[0] if "/hot_queries/" in nodeid else nodeid

    return OneStack(config, log)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server for the whole run, with a migrated database to copy."""
    # In memory a database is copied 15 times as fast.
    # Not pytest's directory: where we are root the server is another user, and pytest closes its
    # directories to others each time it starts.
    directory = Path(tempfile.mkdtemp(prefix="fieldgate-postgres-", dir=memory()))
    try:
        with start_postgres(directory / "data", free_port(), durable=False) as server:
            run_sql(server.url, f"CREATE DATABASE {TEMPLATE}")
            migrate(lambda: parse_url(in_database(server.url, TEMPLATE), "the test"))
            settings.forget()
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


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    with start_valkey(tmp_path_factory.mktemp("valkey"), free_port()) as server:
        yield server


@pytest.fixture
def valkey(valkey_server: ValkeyServer) -> ValkeyServer:
    """A server with nothing in it."""
    empty_valkey(valkey_server.url)
    return valkey_server


@pytest.fixture(scope="session")
def signing_keys() -> tuple[str, str]:
    """A key pair: the text of JWT_SIGNING_KEY, and the key that JWT_PUBLIC_KEYS lists."""
    return tokens.new_signing_key()


@pytest.fixture
def log() -> Iterator[Log]:
    """What our logger writes during the test, line by line."""
    with recorded_log() as log:
        yield log


@pytest.fixture
def environment(
    monkeypatch: pytest.MonkeyPatch,
    signing_keys: tuple[str, str],
    log: Log,
    valkey: ValkeyServer,
) -> Iterator[pytest.MonkeyPatch]:
    """The settings of a deployed function, without a database; set others on what this yields.

    Nothing read before is remembered, nor what is read in the test afterwards.
    """
    for name in (
        "DATABASE_URL",
        "ConnectionStrings__fieldgate",
        "DATABASE_SECRET_ARN",
        "REDIS_URL",
    ):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "ENVIRONMENT": "test",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_EC2_METADATA_DISABLED": "true",
        "CACHE_URL": valkey.url,
        # A busy machine may be slow to answer; that is not what is tested.
        "CACHE_CONNECT_SECONDS": "5",
        "CACHE_ANSWER_SECONDS": "5",
        "PEPPER": "a-pepper-for-tests-and-nothing-else",
        "JWT_ISSUER": "https://api.fieldgate.test",
        "JWT_AUDIENCE": "fieldgate-app",
        "JWT_SIGNING_KEY": signing_keys[0],
        "JWT_PUBLIC_KEYS": json.dumps({"keys": [json.loads(signing_keys[1])]}),
    }.items():
        monkeypatch.setenv(name, value)
    settings.forget()
    yield monkeypatch
    settings.forget()


@pytest.fixture
def live_database(environment: pytest.MonkeyPatch, database_url: str) -> Iterator[Database]:
    """The `Database` that functions use, on this test's own migrated database."""
    environment.setenv("DATABASE_URL", database_url)
    yield engine.database()
    engine.database().close()


@pytest.fixture(scope="package")
def s3_server() -> "Iterator[LocalS3]":
    from tests.support.s3 import run_s3

    with run_s3() as s3:
        yield s3


@pytest.fixture
def s3(s3_server: "LocalS3", monkeypatch: pytest.MonkeyPatch) -> "LocalS3":
    """The gate before empty buckets; a call that fails is not tried again, which would wait."""
    s3_server.reset()
    monkeypatch.setattr("fieldgate.storage.s3_client.ATTEMPTS", 1)
    return s3_server


@pytest.fixture
def sqs(environment: pytest.MonkeyPatch) -> "Iterator[LocalSqs]":
    """Queues, both of one name: the assembler's and the image function's."""
    from tests.support.sqs import run_sqs

    with run_sqs() as server:
        environment.setenv("AWS_ENDPOINT_URL_SQS", server.endpoint)
        environment.setenv("ASSEMBLY_QUEUE_URL", server.url)
        environment.setenv("MEDIA_QUEUE_URL", server.url)
        yield server


@pytest.fixture
def push_queue(environment: pytest.MonkeyPatch) -> "Iterator[LocalSqs]":
    """The queue that wakes whoever pushes."""
    from tests.support.sqs import run_sqs

    with run_sqs() as server:
        environment.setenv("AWS_ENDPOINT_URL_SQS", server.endpoint)
        environment.setenv("PUSH_QUEUE_URL", server.url)
        yield server


def empty_valkey(url: str) -> None:
    """Forget all that the server at `url` knows; everybody's buckets are full."""
    with Valkey.from_url(url) as client:
        client.flushall()


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
