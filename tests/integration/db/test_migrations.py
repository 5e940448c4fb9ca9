import shutil
import threading
import time
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

import migrations
from fieldgate import settings
from fieldgate.db import migrate as migrate_module
from fieldgate.db.connecting import DatabaseUnreachable
from fieldgate.db.driver import sqlstate
from fieldgate.db.engine import Database
from fieldgate.db.migrate import MigrationResult, migrate
from fieldgate.db.tables.all import METADATA
from fieldgate.db.url import DatabaseAddress, parse_url
from fieldgate.errors import Unavailable
from tests.conftest import run_sql
from tests.support.ports import free_port

HEAD = "0008"


@pytest.fixture(autouse=True)
def fresh_settings() -> None:
    settings.forget()


def test_an_empty_database_is_brought_to_the_newest_revision_once(empty_database_url: str) -> None:
    def address() -> DatabaseAddress:
        return parse_url(empty_database_url, "X")

    assert migrate(address) == MigrationResult(None, HEAD)
    assert migrate(address) == MigrationResult(HEAD, HEAD)
    assert run_sql(empty_database_url, "SELECT * FROM schema_history") == [(HEAD,)]


def test_two_at_once_are_safe(empty_database_url: str) -> None:
    results: list[MigrationResult] = []

    def run() -> None:
        results.append(migrate(lambda: parse_url(empty_database_url, "X")))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(result.from_revision or "" for result in results) == ["", HEAD, HEAD]


def test_the_tables_say_what_the_migrations_make(database_url: str) -> None:
    engine = create_engine(database_url.replace("postgresql://", "postgresql+pg8000://"))
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "version_table": "schema_history",
                "compare_type": True,
                "compare_server_default": True,
            },
        )
        assert compare_metadata(context, METADATA) == []
    engine.dispose()


def test_checks_and_indexes_are_those_of_the_tables(
    database_url: str, empty_database_url: str
) -> None:
    # Alembic does not compare checks nor expressions of indexes; the server can.
    engine = create_engine(empty_database_url.replace("postgresql://", "postgresql+pg8000://"))
    METADATA.create_all(engine)
    engine.dispose()
    query = """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace AND conrelid <> 0
          AND conrelid::regclass::text <> 'schema_history'
        UNION ALL
        SELECT tablename, indexname, indexdef FROM pg_indexes
        WHERE schemaname = 'public' AND tablename <> 'schema_history'
        ORDER BY 1, 2, 3
    """
    assert run_sql(database_url, query) == run_sql(empty_database_url, query)


def test_the_history_can_be_walked_back(empty_database_url: str) -> None:
    migrate(lambda: parse_url(empty_database_url, "X"))
    _downgrade(empty_database_url)
    left = """
        SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
          AND relkind = 'r'
        UNION ALL
        SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    """
    assert run_sql(empty_database_url, left) == [("schema_history",)]
    assert migrate(lambda: parse_url(empty_database_url, "X")) == MigrationResult(None, HEAD)


def test_what_happened_before_there_was_a_relay_is_no_news(empty_database_url: str) -> None:
    migrate(lambda: parse_url(empty_database_url, "X"))
    _downgrade(empty_database_url, "0003")
    # The trigger of then works on: this is recorded, and nobody announces it.
    run_sql(empty_database_url, "INSERT INTO roles VALUES ('guest', 'Looks around')")
    migrate(lambda: parse_url(empty_database_url, "X"))
    query = "SELECT count(*) FILTER (WHERE dispatched_at IS NULL AND entity = 'roles') FROM outbox"
    assert run_sql(empty_database_url, query) == [(0,)]
    run_sql(empty_database_url, "INSERT INTO roles VALUES ('visitor', 'Looks around')")
    assert run_sql(empty_database_url, query) == [(1,)]


def test_it_waits_for_a_server_that_is_not_up() -> None:
    waits: list[float] = []
    address = DatabaseAddress("127.0.0.1", free_port(), "d", "u", "p")
    with pytest.raises(DatabaseUnreachable):
        migrate(lambda: address, sleep=waits.append)
    assert waits == [3] * 9


def test_it_goes_on_when_the_server_comes_up(empty_database_url: str) -> None:
    addresses = [
        DatabaseAddress("127.0.0.1", free_port(), "d", "u", "p"),
        parse_url(empty_database_url, "X"),
    ]
    result = migrate(lambda: addresses.pop(0), sleep=lambda seconds: None)
    assert result == MigrationResult(None, HEAD)


def test_a_refused_login_is_not_tried_again(empty_database_url: str) -> None:
    good = parse_url(empty_database_url, "X")
    wrong = DatabaseAddress(good.host, good.port, good.database, good.username, "wrong")
    waits: list[float] = []
    with pytest.raises(Unavailable):
        migrate(lambda: wrong, sleep=waits.append)
    assert waits == []


def test_a_schema_newer_than_the_code_is_left_alone(database_url: str) -> None:
    # What the code of the deployment before meets when a deployment is rolled back.
    run_sql(database_url, "UPDATE schema_history SET version_num = 'from_tomorrow'")
    result = migrate(lambda: parse_url(database_url, "X"))
    assert result == MigrationResult("from_tomorrow", "from_tomorrow")


NEXT_MIGRATION = f"""
from alembic import op

revision, down_revision = "next", "{HEAD}"


def upgrade() -> None:
    op.execute("CREATE TABLE farms (id int)")
    op.execute("ALTER TABLE users ADD COLUMN farm_id int")
"""


def test_a_table_that_is_in_use_fails_the_migration_instead_of_holding_everybody_up(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "migrations"
    shutil.copytree(migrations.__path__[0], tree)
    (tree / "versions" / "next_farms.py").write_text(NEXT_MIGRATION)
    monkeypatch.setattr(migrations, "__path__", [str(tree)])
    monkeypatch.setattr(migrate_module, "LOCK_SECONDS", 0.2)
    engine = create_engine(database_url.replace("postgresql://", "postgresql+pg8000://"))
    with engine.begin() as report:
        # Gone after 10 s, so that a migration that would wait for ever fails this test instead.
        report.execute(text("SET LOCAL idle_in_transaction_session_timeout = '10s'"))
        report.execute(text("SELECT count(*) FROM users"))
        started = time.monotonic()
        with pytest.raises(DBAPIError) as caught:
            migrate(lambda: parse_url(database_url, "X"))
        assert time.monotonic() - started < 10
    assert sqlstate(caught.value.orig) == "55P03"
    assert run_sql(database_url, "SELECT version_num FROM schema_history") == [(HEAD,)]
    assert run_sql(database_url, "SELECT to_regclass('farms')") == [(None,)]

    assert migrate(lambda: parse_url(database_url, "X")) == MigrationResult(HEAD, "next")
    engine.dispose()


def test_the_wait_for_a_table_leaves_time_in_the_deployment() -> None:
    assert migrate_module.LOCK_SECONDS == 10


def test_the_seeded_roles_have_their_permissions(database: Database) -> None:
    query = text(
        "SELECT permission, array_agg(role ORDER BY role) AS granted FROM role_permissions"
        " GROUP BY permission"
    )
    rows = database.read(lambda connection: connection.execute(query).all())
    assert {row.permission: row.granted for row in rows} == {
        "media:read": ["admin", "agent", "farmer", "sponsor", "warehouse_manager"],
        "media:write": ["admin", "agent", "farmer", "warehouse_manager"],
        "media:read_all": ["admin"],
        "media:write_all": ["admin"],
        "users:read": ["admin"],
        "users:write": ["admin"],
        "realtime:broadcast": ["admin"],
        "notifications:send": ["admin"],
        "stock:read": ["admin", "agent", "warehouse_manager"],
        "stock:write": ["admin", "agent", "warehouse_manager"],
        "stock:approve": ["admin", "warehouse_manager"],
        "stock:alerts": ["admin", "warehouse_manager"],
        "config:write": ["admin"],
        "health:read": ["admin"],
    }


def _downgrade(url: str, revision: str = "base") -> None:
    from alembic import command
    from alembic.config import Config

    settings = Config()
    settings.set_main_option("script_location", str(Path(migrations.__path__[0])))
    engine = create_engine(url.replace("postgresql://", "postgresql+pg8000://"))
    with engine.begin() as connection:
        settings.attributes["connection"] = connection
        command.downgrade(settings, revision)
    engine.dispose()
