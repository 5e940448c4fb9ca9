"""Which server process a `Database` speaks to, what that knows, and its end."""

from sqlalchemy import Connection, text

from fieldgate.db.engine import (
    Database,
    DatabaseSettings,
)
from fieldgate.db.url import parse_url
from tests.conftest import run_sql

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


def kill_backend(url: str, pid: int) -> None:
    """Terminate a backend and wait until it is gone."""
    ((gone,),) = run_sql(url, f"SELECT pg_terminate_backend({pid}, 5000)")
    assert gone
