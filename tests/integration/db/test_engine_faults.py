"""What becomes of calls when the connection is lost, and the server is down or hangs."""

import json
import os
import shutil
import signal
import socket
import tempfile
import time
from pathlib import Path

import boto3
import pytest
from moto import mock_aws
from sqlalchemy import Connection, insert, text
from sqlalchemy.exc import DBAPIError

from fieldgate import deadline
from fieldgate.db import engine as engine_module
from fieldgate.db.connecting import DatabaseUnreachable
from fieldgate.db.driver import IDLE_SECONDS, WaitedTooLong, sqlstate
from fieldgate.db.engine import (
    OUTCOME_UNKNOWN,
    Database,
    DatabaseSettings,
)
from fieldgate.db.tables.all import roles
from fieldgate.db.url import DatabaseAddress, parse_url
from fieldgate.errors import Unavailable
from local.postgres import start_postgres
from tests.conftest import run_sql
from tests.support.backends import BACKEND, backend, kill_backend, quick
from tests.support.database import count_statements
from tests.support.ports import free_port

# When the connection is lost


def test_a_connection_killed_while_idle_is_replaced_unnoticed(
    database: Database, database_url: str
) -> None:
    first = database.transact(backend)
    kill_backend(database_url, first)
    pids: list[int] = []
    database.transact(lambda c: pids.append(backend(c)))
    assert len(pids) == 1
    assert pids != [first]


@pytest.mark.parametrize("kind", ["read", "transact"])
def test_a_connection_killed_under_the_work_has_it_run_again(
    database: Database, database_url: str, kind: str
) -> None:
    pids: list[int] = []

    def work(connection: Connection) -> str:
        pids.append(backend(connection))
        if len(pids) == 1:
            kill_backend(database_url, pids[0])
        return str(connection.execute(text("SELECT 'done'")).scalar_one())

    assert getattr(database, kind)(work) == "done"
    assert len(pids) == 2


def test_it_is_run_again_once_and_no_more(database: Database, database_url: str) -> None:
    pids: list[int] = []

    def work(connection: Connection) -> None:
        pids.append(backend(connection))
        kill_backend(database_url, pids[-1])
        connection.execute(BACKEND)

    with pytest.raises(Unavailable):
        database.transact(work)
    assert len(pids) == 2


def test_nothing_is_run_again_once_commit_was_sent(database: Database, database_url: str) -> None:
    run_sql(
        database_url,
        "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END'",
        "CREATE CONSTRAINT TRIGGER die AFTER INSERT ON roles DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION die()",
    )
    runs: list[int] = []

    def work(connection: Connection) -> None:
        runs.append(1)
        connection.execute(insert(roles).values(name="x", description="x"))

    with pytest.raises(Unavailable) as caught:
        database.transact(work)
    assert caught.value.message == OUTCOME_UNKNOWN
    assert len(runs) == 1


def test_the_bodys_own_error_is_seen_when_the_rollback_fails(
    database: Database, database_url: str
) -> None:
    def work(connection: Connection) -> None:
        kill_backend(database_url, backend(connection))
        raise LookupError

    with pytest.raises(LookupError):
        database.transact(work)
    assert database.read(backend)


def test_a_connection_the_network_may_have_forgotten_is_replaced(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = database.read(backend)
    later = time.time() + IDLE_SECONDS + 1
    monkeypatch.setattr("fieldgate.db.driver.time.time", lambda: later)
    assert database.read(backend) != first


# When the server is down, or hangs


def test_service_comes_back_by_itself() -> None:
    directory = Path(tempfile.mkdtemp(prefix="fieldgate-restart-"))
    port = free_port()
    try:
        with start_postgres(directory / "data", port, durable=False) as server:
            database = Database(lambda: parse_url(server.url, "X"))
            assert database.read(backend)
        with pytest.raises(Unavailable):
            database.read(backend)
        with start_postgres(directory / "data", port, durable=False):
            assert database.read(backend)
            assert database.transact(backend)
            database.close()
    finally:
        shutil.rmtree(directory)


def test_nothing_listening_is_told_at_once() -> None:
    database = Database(lambda: DatabaseAddress("127.0.0.1", free_port(), "d", "u", "p"))
    with pytest.raises(DatabaseUnreachable):
        database.read(backend)


def test_the_limits_leave_time_for_the_answer() -> None:
    settings = DatabaseSettings()
    assert settings.database_connect_seconds < settings.database_call_seconds < 10
    assert settings.database_statement_seconds < settings.database_call_seconds


def test_a_server_that_accepts_and_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as hole:
        address = DatabaseAddress("127.0.0.1", hole.getsockname()[1], "d", "u", "p")
        settings = DatabaseSettings.model_validate({"DATABASE_CONNECT_SECONDS": 0.3})
        started = time.monotonic()
        with pytest.raises(DatabaseUnreachable):
            Database(lambda: address, settings).transact(backend)
        assert time.monotonic() - started < 2


@pytest.mark.parametrize("kind", ["read", "transact"])
def test_a_server_that_falls_silent_is_given_up_in_time_and_not_tried_again(
    database_url: str, kind: str
) -> None:
    database = quick(database_url, call_seconds=0.4)
    pids: list[int] = []

    def work(connection: Connection) -> None:
        pids.append(backend(connection))
        os.kill(pids[-1], signal.SIGSTOP)
        connection.execute(BACKEND)

    started = time.monotonic()
    try:
        with pytest.raises(Unavailable) as caught:
            getattr(database, kind)(work)
    finally:
        os.kill(pids[0], signal.SIGCONT)
    assert time.monotonic() - started < 3
    assert isinstance(getattr(caught.value.__cause__, "orig", None), WaitedTooLong)
    assert len(pids) == 1
    assert database.read(backend) != pids[0]
    database.close()


@pytest.mark.parametrize("kind", ["read", "transact"])
def test_a_silent_server_is_not_waited_for_longer_than_the_work_has_left(
    database: Database, kind: str
) -> None:
    pids: list[int] = []

    def work(connection: Connection) -> None:
        pids.append(backend(connection))
        os.kill(pids[-1], signal.SIGSTOP)
        connection.execute(BACKEND)

    started = time.monotonic()
    try:
        with deadline.within(0.4), pytest.raises(Unavailable):
            getattr(database, kind)(work)
    finally:
        os.kill(pids[0], signal.SIGCONT)
    assert time.monotonic() - started < 3
    assert len(pids) == 1


@pytest.mark.parametrize("kind", ["read", "transact"])
def test_a_server_that_never_answers_is_not_waited_for_longer_than_the_work_has_left(
    kind: str,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hole:
        address = DatabaseAddress("127.0.0.1", hole.getsockname()[1], "d", "u", "p")
        started = time.monotonic()
        with deadline.within(0.3), pytest.raises(DatabaseUnreachable):
            getattr(Database(lambda: address), kind)(backend)
        assert time.monotonic() - started < 2


@pytest.mark.parametrize("kind", ["read", "transact"])
def test_with_the_works_time_over_nothing_is_begun(database: Database, kind: str) -> None:
    runs: list[int] = []
    with deadline.within(60), count_statements(database) as traffic:
        with deadline.within(0), pytest.raises(Unavailable, match="too long"):
            getattr(database, kind)(lambda _: runs.append(1))
        assert (runs, traffic.round_trips) == ([], 0)
        getattr(database, kind)(lambda _: runs.append(1))
    assert runs == [1]


def test_many_slow_statements_share_one_deadline(database_url: str) -> None:
    database = quick(database_url, call_seconds=0.5)

    def work(connection: Connection) -> None:
        for _ in range(100):
            connection.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": 0.2})

    started = time.monotonic()
    with pytest.raises(Unavailable):
        database.transact(work)
    assert time.monotonic() - started < 3
    database.close()


def test_a_statement_that_takes_too_long_is_stopped_by_the_server(database_url: str) -> None:
    database = quick(database_url, statement_seconds=0.1)
    pid = database.read(backend)
    with pytest.raises(Unavailable) as caught:
        database.read(lambda c: c.execute(text("SELECT pg_sleep(30)")))
    cause = caught.value.__cause__
    assert isinstance(cause, DBAPIError)
    assert sqlstate(cause.orig) == "57014"
    assert database.read(backend) == pid
    database.close()


def test_a_second_user_of_the_one_connection_is_not_kept_waiting(database_url: str) -> None:
    database = quick(database_url, connect_seconds=0.2)
    with pytest.raises(Unavailable):
        database.transact(lambda c: database.read(backend))
    database.close()


def test_a_wrong_password_is_an_outage_that_does_not_show_it(database_url: str) -> None:
    good = parse_url(database_url, "X")
    wrong = DatabaseAddress(good.host, good.port, good.database, good.username, "hunter2")
    with pytest.raises(Unavailable) as caught:
        Database(lambda: wrong).read(backend)
    assert not isinstance(caught.value, DatabaseUnreachable)
    assert "hunter2" not in f"{caught.value} {caught.value.__cause__}"


def test_a_rotated_password_is_taken_up_after_one_refusal(
    environment: pytest.MonkeyPatch, database_url: str
) -> None:
    good = parse_url(database_url, "X")

    def secret(password: str) -> str:
        return json.dumps(
            {
                "username": "rotated",
                "password": password,
                "host": good.host,
                "port": good.port,
                "dbname": good.database,
            }
        )

    with mock_aws():
        secrets = boto3.client("secretsmanager")
        arn = secrets.create_secret(Name="db", SecretString=secret("first"))["ARN"]
        environment.setenv("DATABASE_SECRET_ARN", arn)
        database = engine_module.database()
        run_sql(database_url, "CREATE ROLE rotated LOGIN PASSWORD 'first'")
        try:
            before = database.read(backend)
            run_sql(database_url, "ALTER ROLE rotated PASSWORD 'second'")
            secrets.put_secret_value(SecretId="db", SecretString=secret("second"))
            assert database.read(backend) == before  # who is in stays in

            kill_backend(database_url, before)
            with pytest.raises(Unavailable) as refused:
                database.read(backend)
            assert sqlstate(refused.value.__cause__) == "28P01"
            assert database.read(backend) != before
        finally:
            database.close()
            run_sql(database_url, "DROP ROLE rotated")


def test_parameters_do_not_show_in_errors(database: Database) -> None:
    with pytest.raises(DBAPIError) as caught:
        database.read(lambda c: c.execute(text("SELECT 1 / :n, :name"), {"n": 0, "name": "Grower"}))
    assert "Grower" not in str(caught.value)
