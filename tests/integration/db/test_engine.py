import json
import os
import shutil
import signal
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from moto import mock_aws
from sqlalchemy import Connection, Executable, Select, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from fieldgate import deadline, settings
from fieldgate.db import engine as engine_module
from fieldgate.db import waits
from fieldgate.db.connecting import DatabaseUnreachable, open_connection, tls_context
from fieldgate.db.driver import IDLE_SECONDS, WaitedTooLong, sqlstate
from fieldgate.db.engine import (
    OUTCOME_UNKNOWN,
    Database,
    DatabaseSettings,
)
from fieldgate.db.tables import roles
from fieldgate.db.url import DatabaseAddress, parse_url
from fieldgate.errors import Unavailable
from local.postgres import PostgresServer, start_postgres
from tests.conftest import run_sql
from tests.support.database import count_statements
from tests.support.ports import free_port

BACKEND = text("SELECT pg_backend_pid()")
CONTEXT = text(
    "SELECT current_setting('fieldgate.actor', true), current_setting('fieldgate.request_id', true)"
)


def backend(connection: Connection) -> int:
    pid: int = connection.execute(BACKEND).scalar_one()
    return pid


def context(connection: Connection) -> tuple[str, str]:
    actor, request_id = connection.execute(CONTEXT).one()
    return actor or "", request_id or ""


def quick(url: str, **settings: float) -> Database:
    names = {f"DATABASE_{name.upper()}": value for name, value in settings.items()}
    return Database(lambda: parse_url(url, "X"), DatabaseSettings.model_validate(names))


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


# TLS


class Remote(DatabaseAddress):
    is_loopback = False


def test_a_server_without_tls_is_refused_unless_on_loopback(postgres: PostgresServer) -> None:
    address = parse_url(postgres.url, "X")
    remote = Remote(address.host, address.port, address.database, address.username, "p")
    with pytest.raises(DatabaseUnreachable) as caught:
        open_connection(remote, deadline=time.monotonic() + 3)
    assert "refuses SSL" in str(caught.value.__cause__)


def test_tls_verifies_chain_and_name(tmp_path: Path) -> None:
    certificate, key = make_certificate("localhost")
    (tmp_path / "server.pem").write_bytes(key + certificate)
    ca_path = tmp_path / "ca.pem"
    ca_path.write_bytes(certificate)

    def greeted(host: str, ca_cert: str) -> bytes:
        with tls_server(tmp_path / "server.pem") as (port, received):
            address = Remote(host, port, "d", "u", "p")
            deadline = time.monotonic() + 3
            with pytest.raises(DatabaseUnreachable):
                open_connection(address, deadline=deadline, ca_cert=ca_cert)
        return b"".join(received)

    assert b"user\0u\0" in greeted("localhost", str(ca_path))
    assert b"user\0u\0" in greeted("localhost", certificate.decode())
    assert greeted("127.0.0.1", str(ca_path)) == b""  # another name than the certificate's
    assert greeted("localhost", "") == b""  # an authority nobody knows
    context = tls_context("")
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert tls_context("") is context


def make_certificate(name: str) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
        )
        .add_extension(
            x509.KeyUsage(
                digital_signature=True, content_commitment=False, key_encipherment=False,
                data_encipherment=False, key_agreement=False, key_cert_sign=True, crl_sign=True,
                encipher_only=False, decipher_only=False,
            ),
            critical=True,
        )
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(pem), private


@contextmanager
def tls_server(pem: Path) -> Iterator[tuple[int, list[bytes]]]:
    """A server that agrees to TLS, notes what it is told inside it, and hangs up."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    received: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        connection.recv(8)
        connection.sendall(b"S")
        try:
            with context.wrap_socket(connection, server_side=True) as secured:
                received.append(secured.recv(4096))
        except OSError:
            connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1], received
    finally:
        thread.join()
        listener.close()


def kill_backend(url: str, pid: int) -> None:
    """Terminate a backend and wait until it is gone."""
    ((gone,),) = run_sql(url, f"SELECT pg_terminate_backend({pid}, 5000)")
    assert gone
