import os
import signal
import socket
import struct
import time
from typing import Any
from unittest.mock import patch

import pytest
from sqlalchemy import Connection, Executable, Select, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from fieldgate import settings
from fieldgate.db import engine as engine_module
from fieldgate.db import waits
from fieldgate.db.driver import sqlstate
from fieldgate.db.engine import Database
from fieldgate.db.tables.all import roles
from fieldgate.errors import Unavailable
from tests.support.backends import BACKEND, backend, context, kill_backend, quick
from tests.support.database import count_statements

# What it costs


def test_a_read_is_one_round_trip(database: Database) -> None:
    query = select(roles).where(roles.c.name == "agent")
    with count_statements(database) as traffic:
        assert database.read(lambda c: c.execute(query).one()).name == "agent"
    assert (traffic.round_trips, len(traffic.statements)) == (1, 1)
    assert (traffic.commits, traffic.rollbacks) == (0, 0)


def test_the_first_read_asks_the_server_nothing_else(database: Database) -> None:
    with count_statements(database) as traffic:
        database.read(backend)
    assert traffic.round_trips == 1


def test_the_server_is_asked_for_its_answer_once(database: Database) -> None:
    """At Sync, and not after each message (Flush, H): every answer would be a packet of its own."""
    sent = bytearray()
    write = socket.SocketIO.write

    def noted(file: socket.SocketIO, data: bytes) -> int | None:
        sent.extend(data)
        return write(file, data)

    query = select(roles).where(roles.c.name == "agent")
    database.read(backend)
    with patch.object(socket.SocketIO, "write", noted):
        database.read(lambda c: c.execute(query).one())
        read, sent = kinds_of(sent), bytearray()
        database.transact(lambda c: c.execute(query).one())

    assert read == "PBDES"
    begin, actor, statement, commit = "PBE", "PBE", "PBDE", "PBDE"
    assert kinds_of(sent) == f"{begin}{actor}{statement}S{commit}S"


def kinds_of(messages: bytearray) -> str:
    """Return the first letters of messages of PostgreSQL's protocol: a letter, a length, a body."""
    kinds, at = "", 0
    while at < len(messages):
        kinds += chr(messages[at])
        at += 1 + struct.unpack_from("!i", messages, at + 1)[0]
    return kinds


def test_a_write_adds_one_round_trip_for_its_transaction(database: Database) -> None:
    with count_statements(database) as traffic:
        database.transact(lambda c: c.execute(update(roles).values(description="x")))
    assert (traffic.round_trips, len(traffic.statements)) == (2, 1)
    assert (traffic.commits, traffic.rollbacks) == (1, 0)


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("statement", [select(roles), select(roles).where(roles.c.name == "x")])
def test_a_transaction_costs_its_statements_and_one(
    database: Database, statement: Select[Any], count: int
) -> None:
    before = waits.count
    with count_statements(database) as traffic:
        database.transact(lambda c: [c.execute(statement) for _ in range(count)])
    assert (traffic.round_trips, len(traffic.statements)) == (count + 1, count)
    assert waits.count - before == traffic.round_trips, "what a slow request says of itself"


def test_a_failed_body_costs_one_rollback(database: Database) -> None:
    def fail(connection: Connection) -> None:
        connection.execute(BACKEND)
        raise LookupError

    with count_statements(database) as traffic, pytest.raises(LookupError):
        database.transact(fail)
    assert (traffic.round_trips, traffic.commits, traffic.rollbacks) == (2, 0, 1)


def test_a_body_that_asks_nothing_costs_nothing(database: Database) -> None:
    with count_statements(database) as traffic:
        assert database.transact(lambda _: "done", actor="grower") == "done"
        with pytest.raises(KeyError):
            database.transact(lambda _: {}["missing"], actor="grower")  # type: ignore[index]
    assert traffic.round_trips == 0
    assert database.transact(context) == ("", "")


def test_one_connection_serves_reads_and_writes(database: Database) -> None:
    pids = {database.read(backend), database.transact(backend), database.read(backend)}
    assert len(pids) == 1


# What travels with the first statement


@pytest.mark.parametrize("given", [("grower's", 'r"1'), ("%s $1 :a", ""), (None, None)])
def test_the_first_statement_and_the_next_know_the_actor(
    database: Database, given: tuple[str | None, str | None]
) -> None:
    expected = (given[0] or "", given[1] or "")

    def work(connection: Connection) -> None:
        assert context(connection) == context(connection) == expected

    database.transact(work, actor=given[0], request_id=given[1])
    assert database.read(context) == database.transact(context) == ("", "")


def test_the_first_statement_with_parameters_knows_it_too(database: Database) -> None:
    query = text("SELECT current_setting(:name)")
    name = {"name": "fieldgate.actor"}
    known = database.transact(lambda c: c.execute(query, name).scalar_one(), actor="grower")
    assert known == "grower"


@pytest.mark.parametrize("name", ["agent", "nobody"])
def test_rows_and_their_count_are_the_first_statements_own(database: Database, name: str) -> None:
    def work(connection: Connection) -> None:
        for _ in range(2):
            result = connection.execute(update(roles).where(roles.c.name == name).values(name=name))
            assert (result.rowcount, result.returns_rows) == (int(name == "agent"), False)

    database.transact(work)
    query = select(roles.c.name).where(roles.c.name == name)
    rows = database.transact(lambda c: c.execute(query).all())
    assert rows == database.read(lambda c: c.execute(query).all())


def test_a_first_statement_of_many_rows_counts_them_all(database: Database) -> None:
    rows = [{"name": f"role_{chr(97 + number)}", "description": "x"} for number in range(3)]

    def work(connection: Connection) -> int:
        statement = text("INSERT INTO roles (name, description) VALUES (:name, :description)")
        return connection.execute(statement, rows).rowcount

    with count_statements(database) as traffic:
        assert database.transact(work) == 3
    assert traffic.round_trips == 4


def test_a_savepoint_may_come_first(database: Database) -> None:
    def work(connection: Connection) -> None:
        with pytest.raises(IntegrityError), connection.begin_nested():
            connection.execute(insert(roles).values(name="agent", description="again"))
        assert context(connection) == ("grower", "")
        connection.execute(insert(roles).values(name="x", description="x"))

    database.transact(work, actor="grower")
    assert database.read(lambda c: c.execute(select(roles).where(roles.c.name == "x")).one())


@pytest.mark.parametrize(
    ("statement", "actor", "state"),
    [
        (insert(roles).values(name="agent", description="again"), "grower", "23505"),
        (text("SELECT 1 / 0"), "grower", "22012"),
        (text("SELECT nonsense"), "grower", "42703"),
        (insert(roles).values(name="x", description="x"), "a\0b", "22021"),
    ],
)
def test_a_first_statement_that_fails_leaves_nothing(
    database: Database, statement: Executable, actor: str, state: str
) -> None:
    pid = database.read(backend)
    before = database.read(lambda c: c.execute(select(roles)).all())
    with count_statements(database) as traffic, pytest.raises(DBAPIError) as caught:
        database.transact(lambda c: c.execute(statement), actor=actor)
    assert sqlstate(caught.value.orig) == state
    assert (traffic.round_trips, traffic.commits, traffic.rollbacks) == (2, 0, 1)
    assert database.read(lambda c: c.execute(select(roles)).all()) == before
    assert database.read(backend) == database.transact(backend) == pid


@pytest.mark.parametrize("kind", ["read", "transact"])
def test_a_statement_that_cannot_be_sent_leaves_nothing_to_send(
    database: Database, kind: str
) -> None:
    query = text("SELECT :unsendable")
    with pytest.raises(UnicodeEncodeError):
        getattr(database, kind)(lambda c: c.execute(query, {"unsendable": "\ud800"}))
    with pytest.raises(DBAPIError) as caught:
        database.read(lambda c: c.execute(update(roles).values(description="x")))
    assert sqlstate(caught.value.orig) == "25006"
    assert database.transact(context, actor="grower") == ("grower", "")


def test_a_connection_killed_before_the_first_statement_has_the_work_run_again(
    database: Database, database_url: str
) -> None:
    pid = database.read(backend)
    runs: list[int] = []

    def work(connection: Connection) -> tuple[str, str]:
        runs.append(1)
        if len(runs) == 1:
            kill_backend(database_url, pid)
        return context(connection)

    assert database.transact(work, actor="grower", request_id="r1") == ("grower", "r1")
    assert len(runs) == 2


def test_the_time_of_a_first_statement_is_limited(database_url: str) -> None:
    database = quick(database_url, statement_seconds=0.1)
    pid = database.read(backend)
    with pytest.raises(Unavailable) as caught:
        database.transact(lambda c: c.execute(text("SELECT pg_sleep(30)")))
    assert sqlstate(getattr(caught.value.__cause__, "orig", None)) == "57014"
    assert database.transact(backend) == pid
    database.close()


def test_a_server_that_falls_silent_before_the_first_statement_is_given_up_in_time(
    database_url: str,
) -> None:
    database = quick(database_url, call_seconds=0.4)
    pid = database.read(backend)
    runs: list[int] = []

    def work(connection: Connection) -> None:
        runs.append(1)
        os.kill(pid, signal.SIGSTOP)
        connection.execute(BACKEND)

    started = time.monotonic()
    try:
        with pytest.raises(Unavailable):
            database.transact(work)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert time.monotonic() - started < 3
    assert len(runs) == 1
    assert database.transact(backend) != pid
    database.close()


# What it guarantees


def test_a_failed_body_is_rolled_back(database: Database) -> None:
    def fail(connection: Connection) -> None:
        connection.execute(insert(roles).values(name="x", description="x"))
        raise LookupError

    with pytest.raises(LookupError):
        database.transact(fail)
    assert database.read(lambda c: c.execute(select(roles).where(roles.c.name == "x")).all()) == []


def test_a_read_cannot_write(database: Database) -> None:
    with pytest.raises(DBAPIError) as caught:
        database.read(lambda c: c.execute(update(roles).values(description="x")))
    assert sqlstate(caught.value.orig) == "25006"


def test_a_broken_constraint_passes_through_once(database: Database) -> None:
    runs: list[int] = []

    def work(connection: Connection) -> None:
        runs.append(1)
        connection.execute(insert(roles).values(name="agent", description="again"))

    with pytest.raises(IntegrityError) as caught:
        database.transact(work)
    assert len(runs) == 1
    assert engine_module.violated_constraint(caught.value) == "pk_roles"


def test_the_session_is_set_up_with_the_login(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "presign-upload")
    monkeypatch.setenv("DATABASE_URL", database_url)
    settings.forget()
    engine_module.database.cache_clear()
    database = engine_module.database()
    names = (
        "statement_timeout",
        "idle_in_transaction_session_timeout",
        "idle_session_timeout",
        "application_name",
        "TimeZone",
    )
    shown = [
        database.read(lambda c, name=name: c.execute(text(f"SHOW {name}")).scalar_one())  # type: ignore[misc]
        for name in names
    ]
    assert shown == ["8s", "3s", "330s", "presign-upload", "UTC"]
    assert engine_module.database() is database
    database.close()
    engine_module.database.cache_clear()
    settings.forget()
