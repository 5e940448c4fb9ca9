"""The database behind a proxy that refuses settings with the login and makes them itself."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import Connection, select, text, update
from sqlalchemy.exc import DBAPIError

from fieldgate.db.driver import IDLE_SECONDS, sqlstate
from fieldgate.db.engine import IDLE_MARGIN_SECONDS, Database, DatabaseSettings, session_settings
from fieldgate.db.migrate import _LOCK, migrate
from fieldgate.db.tables.all import roles
from fieldgate.db.tables.change_log import change_log
from fieldgate.db.url import parse_url
from fieldgate.errors import Unavailable
from tests.conftest import run_sql
from tests.support.database import count_statements
from tests.support.strict_proxy import database_template, init_settings, strict_proxy

PROXIED = DatabaseSettings(DATABASE_PROXIED=True)


def make_settings_the_databases(url: str, **others: str) -> None:
    """Have each session of a database begin as those do that the proxy of database.yaml opens."""
    name = url.rpartition("/")[2]
    settings = init_settings() | others
    run_sql(url, *(f"ALTER DATABASE {name} SET {one} = '{settings[one]}'" for one in settings))


@pytest.fixture
def proxied_url(database_url: str) -> Iterator[str]:
    make_settings_the_databases(database_url)
    with strict_proxy(database_url) as url:
        yield url


@pytest.fixture
def proxied(proxied_url: str) -> Iterator[Database]:
    database = Database(lambda: parse_url(proxied_url, "the test"), PROXIED)
    yield database
    database.close()


@contextmanager
def another_migration(url: str) -> Iterator[Callable[[timedelta], bool]]:
    """Be at work in the block; what it yields says whether somebody has waited for so long."""
    database = Database(lambda: parse_url(url, "the test"))

    def has_waited(long: timedelta) -> bool:
        query = (
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()"
            " AND wait_event_type = 'Lock' AND now() - query_start > :long)"
        )
        return database.read(lambda c: bool(c.execute(text(query), {"long": long}).scalar()))

    try:
        database.read(lambda c: c.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _LOCK}))
        yield has_waited
    finally:
        database.close()


def show(connection: Connection) -> dict[str, str]:
    wanted = "SELECT name, setting FROM pg_settings WHERE name = ANY(:names)"
    rows = connection.execute(text(wanted), {"names": list(session_settings(PROXIED))})
    return {row.name: row.setting for row in rows}


def test_a_proxy_refuses_what_is_sent_to_a_database_itself(proxied_url: str) -> None:
    database = Database(lambda: parse_url(proxied_url, "the test"))
    with pytest.raises(Unavailable) as caught:
        database.read(show)
    assert sqlstate(caught.value.__cause__) == "0A000"


def test_a_session_is_the_same_whoever_makes_it(proxied: Database, database: Database) -> None:
    made_by_the_proxy, sent_with_the_login = proxied.read(show), database.read(show)
    # A connection that the proxy keeps is to last; it closes those of clients itself.
    assert made_by_the_proxy.pop("idle_session_timeout") == "0"
    assert int(sent_with_the_login.pop("idle_session_timeout")) == 330_000
    assert made_by_the_proxy == sent_with_the_login


def test_the_template_says_what_the_code_would() -> None:
    wanted = session_settings(DatabaseSettings())
    del wanted["idle_session_timeout"]
    assert init_settings() == wanted
    proxy = database_template()["Resources"]["Proxy"]["Properties"]
    assert proxy["IdleClientTimeout"] == IDLE_SECONDS + IDLE_MARGIN_SECONDS


def test_reads_can_not_write_and_writes_can(proxied: Database) -> None:
    change = update(roles).where(roles.c.name == "agent").values(description="x")
    with pytest.raises(DBAPIError, match="read-only"):
        proxied.read(lambda connection: connection.execute(change))
    with count_statements(proxied) as traffic:
        proxied.transact(lambda connection: connection.execute(change), actor="grower")
    assert traffic.round_trips == 2
    actors = proxied.read(lambda connection: connection.scalars(select(change_log.c.actor)).all())
    assert actors[-1] == "grower"


def test_a_schema_is_made_through_it_for_as_long_as_it_takes(
    environment: pytest.MonkeyPatch, empty_database_url: str
) -> None:
    """Though its sessions begin read-only, and with a limit to a statement's time."""
    environment.setenv("DATABASE_PROXIED", "true")
    make_settings_the_databases(empty_database_url, statement_timeout="200")
    with strict_proxy(empty_database_url) as url, ThreadPoolExecutor() as pool:
        with another_migration(empty_database_url) as waited_for:
            migration = pool.submit(migrate, lambda: parse_url(url, "the test"), tries=1)
            while not waited_for(timedelta(milliseconds=300)):
                assert not migration.done()
        result = migration.result()
    assert result.from_revision is None
    assert result.to_revision
