"""Bringing the schema up to date, at deploy and when the local stack starts.

The package `migrations` is found on `sys.path`, where a layer or the repository puts it; there is
no alembic.ini. Alembic is imported when it is used: only the migrating function has it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.pool import NullPool

from fieldgate.db.connecting import DatabaseUnreachable, open_connection
from fieldgate.db.engine import DatabaseSettings
from fieldgate.db.url import DatabaseAddress
from fieldgate.observability import logger
from fieldgate.settings import load

if TYPE_CHECKING:
    from alembic.config import Config

HISTORY_TABLE = "schema_history"
# For a table that is in use, and for another migration to end.
LOCK_SECONDS = 10
TURN_SECONDS = 200
# Between two statements; one whose function was ended idles for ever, where a proxy stands between.
IDLE_SECONDS = 60
# A migration whose function was ended ends as well, and lets go of its locks.
SESSION = {"TimeZone": "UTC", "client_connection_check_interval": "5000"}

# Any number, as long as all who migrate this database take the same ("fieldgat" in ASCII).
_LOCK = 0x6669656C64676174


@dataclass(frozen=True)
class MigrationResult:
    """The schema's revision before and after; None is an empty database."""

    from_revision: str | None
    to_revision: str | None


def migrate(
    address: Callable[[], DatabaseAddress],
    *,
    tries: int = 10,
    delay_seconds: float = 3,
    sleep: Callable[[float], None] = time.sleep,
) -> MigrationResult:
    """Upgrade the schema to the newest revision, in one transaction; never downgrade it.

    Two at once are safe: the second waits for the first and finds nothing to do. While the server
    cannot be reached it is tried again, `tries` times in all; nothing else is retried.

    Raises:
        DatabaseUnreachable: not even at the last try.
        Exception: whatever is wrong with a migration; nothing of it stays.

    """
    for attempt in range(1, tries):
        try:
            return _migrate(address)
        except DatabaseUnreachable:
            logger().info("database not reachable yet", extra={"attempt": attempt, "of": tries})
            sleep(delay_seconds)
    return _migrate(address)


def newest_revision() -> str:
    """Return the revision that `migrate` upgrades to."""
    from alembic.script import ScriptDirectory

    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head
    return head


def find_revision(connection: Connection) -> str | None:
    """Return the schema's revision; None is an empty database."""
    from alembic.runtime.migration import MigrationContext

    options = {"version_table": HISTORY_TABLE}
    return MigrationContext.configure(connection, opts=options).get_current_revision()


def _config() -> "Config":
    from alembic.config import Config

    import migrations

    config = Config()
    # Alembic reads the option through configparser, to which a percent sign is special.
    directory = str(Path(migrations.__path__[0])).replace("%", "%%")
    config.set_main_option("script_location", directory)
    return config


def _migrate(address: Callable[[], DatabaseAddress]) -> MigrationResult:
    from alembic import command

    config = _config()
    settings = load(DatabaseSettings)
    engine = create_engine(
        "postgresql+pg8000://",
        creator=lambda: open_connection(
            address(),
            deadline=time.monotonic() + settings.database_connect_seconds,
            ca_cert=settings.database_ca_cert,
            parameters=None if settings.database_proxied else SESSION,
        ),
        poolclass=NullPool,
        hide_parameters=True,
    )
    with engine.begin() as connection:
        before = find_revision(connection)
        if _is_done(config, before):
            return MigrationResult(before, before)
        # Rewriting a large table takes what it takes, whatever a proxy set for this session.
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(
            text(f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'")
        )
        connection.execute(text(f"SET LOCAL lock_timeout = '{TURN_SECONDS}s'"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        before = find_revision(connection)
        if _is_done(config, before):
            return MigrationResult(before, before)
        # Altering a table that a long query holds would make every other query wait behind us.
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        return MigrationResult(before, find_revision(connection))


def _is_done(config: "Config", revision: str | None) -> bool:
    """Say whether the schema is at our newest revision, or at one we don't know yet."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(config)
    if revision is None or revision == scripts.get_current_head():
        return revision is not None
    if revision in {script.revision for script in scripts.walk_revisions()}:
        return False
    # A deployment is being rolled back: the code before it meets the schema after it, which it
    # must be able to work with. An error here would leave the rollback stuck.
    logger().warning("schema is newer than this code", extra={"revision": revision})
    return True
