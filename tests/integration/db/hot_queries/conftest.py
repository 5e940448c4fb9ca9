"""A database of a million rows a table, for each domain another."""

from collections.abc import Iterator

import pytest

from fieldgate import settings
from fieldgate.db.engine import Database, DatabaseSettings
from fieldgate.db.url import parse_url
from local.postgres import PostgresServer
from tests.conftest import TEMPLATE, in_database, run_sql
from tests.support.million import filling
from tests.support.plans import EXPLAINING


@pytest.fixture(scope="module")
def full(request: pytest.FixtureRequest, postgres: PostgresServer) -> Iterator[Database]:
    """A database filled with the module's TABLES, which tells what it executes."""
    name = f"million_{request.module.__name__.rpartition('.')[2]}"
    url = in_database(postgres.url, name)
    run_sql(postgres.url, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY FILE_COPY")
    run_sql(url, *filling(request.module.TABLES))
    for setting, value in EXPLAINING.items():
        run_sql(postgres.url, f"ALTER DATABASE {name} SET {setting} = '{value}'")
    patient = DatabaseSettings.model_validate(
        {"DATABASE_CALL_SECONDS": 60, "DATABASE_STATEMENT_SECONDS": 10}
    )
    database = Database(lambda: parse_url(url, "the test"), patient)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PEPPER", "a-pepper-for-tests-and-nothing-else")
        yield database
    settings.forget()
    database.close()
    run_sql(postgres.url, f"DROP DATABASE {name} WITH (FORCE)")
