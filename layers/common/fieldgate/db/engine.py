"""The one database connection of a process, and the two ways to use it: `read` and `transact`.

A call has one deadline for everything it waits for: connecting, every statement, and the second
try. So a caller has its answer in time also when the server hangs, however it hangs.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from typing import Any, cast

from pydantic import Field
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.dialects import registry
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import QueuePool

from fieldgate.db import driver
from fieldgate.db.connecting import SENTENCE, open_connection
from fieldgate.db.url import DatabaseAddress, resolve_database_address
from fieldgate.deadline import seconds_left
from fieldgate.errors import Unavailable
from fieldgate.observability import logger
from fieldgate.settings import Settings, load, once

OUTCOME_UNKNOWN = (
    "The connection to the database was lost while saving. Please look whether it was saved before "
    "trying again."
)

# What passes by itself: faults of the connection, deadlocks and serialization, no resources left,
# a lock not to be had, a cancelled or too long statement, a server going down or coming up.
_PASSING_STATES = ("08", "25P03", "25P04", "40", "53", "55P03", "57")

# The server hangs up on a connection that we would no longer use ourselves, a little later than we
# stop using it.
IDLE_MARGIN_SECONDS = 30

_deadline: ContextVar[float] = ContextVar("database deadline", default=float("inf"))


class DatabaseSettings(Settings):
    """How long the database is waited for. Where it is stands in `url.py`."""

    # A request has 10 s to answer 503 in, so a call has 9, and the server is told to give up a
    # statement one second before we hang up, so that it does not work on for nobody.
    database_call_seconds: float = Field(default=9, gt=0)
    database_statement_seconds: float = Field(default=8, gt=0, le=10)
    database_connect_seconds: float = Field(default=3, gt=0)
    # An open write transaction holds up every reader of the outbox; also when a frozen or killed
    # environment left it behind.
    database_idle_transaction_seconds: float = Field(default=3, gt=0)
    # Path or PEM text of the authorities to trust instead of the system's (RDS has its own).
    database_ca_cert: str = ""
    # A proxy stands between, which takes no settings with the login and makes them itself
    # (docs/decisions/0022-settings-that-a-proxy-makes.md).
    database_proxied: bool = False


class Database:
    """One connection, opened at first use and again when the server dropped it.

    `address` is asked at every connect, so that a rotated password is taken up.
    """

    def __init__(
        self,
        address: Callable[[], DatabaseAddress],
        settings: DatabaseSettings | None = None,
        *,
        on_recorded: Callable[[], None] | None = None,
    ) -> None:
        """Keep what is needed to connect; nothing is opened yet.

        `on_recorded` is called after each commit that the change log recorded something of.
        """
        self._address = address
        self._settings = settings or DatabaseSettings()
        self._on_recorded = on_recorded

    def read[T](self, work: Callable[[Connection], T]) -> T:
        """Run `work` in autocommit: one statement is one round trip, with nothing around it.

        Each statement sees its own snapshot. `work` runs a second time when the connection turns
        out to be dropped, which is safe because it can only read: the session is read-only and
        the server refuses it to write.

        Raises:
            Unavailable: the database is down or too slow.
            sqlalchemy.exc.DBAPIError: whatever else is wrong with a statement.

        """

        def attempt() -> T:
            with self._reader.connect() as connection:
                self._set_up(connection)
                return work(connection)

        return self._run(attempt)

    def transact[T](
        self,
        work: Callable[[Connection], T],
        *,
        actor: str | None = None,
        request_id: str | None = None,
    ) -> T:
        """Run `work` in a transaction and commit it; roll back when it raises.

        It costs one round trip a statement and one for COMMIT: BEGIN goes with the first statement,
        and without a statement nothing is sent. The change log records `actor` and `request_id`
        with every change made in it. `work` runs a second time when the connection is dropped
        before COMMIT was sent (nothing was saved, so it must have no effects but on the database),
        and never after. It does not commit itself.

        Raises:
            Unavailable: the database is down or too slow, nothing was saved; or, with the message
                OUTCOME_UNKNOWN, the connection broke at COMMIT: look again by a key of your own.
            sqlalchemy.exc.IntegrityError: a constraint was broken (see `violated_constraint`).
            sqlalchemy.exc.DBAPIError: whatever else is wrong with a statement.

        """

        def attempt() -> tuple[T, bool]:
            with self.engine.connect() as connection:
                dbapi_connection = self._set_up(connection, actor or "", request_id or "")
                try:
                    result = work(connection)
                except BaseException:
                    _roll_back(connection)
                    raise
                _commit(connection)
                return result, dbapi_connection.recorded_changes

        result, recorded = self._run(attempt)
        if recorded and self._on_recorded:
            self._on_recorded()
        return result

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        if "engine" in self.__dict__:
            self.engine.dispose()

    @cached_property
    def engine(self) -> Engine:
        """The SQLAlchemy engine: a pool of exactly one connection, no ping, no plugins."""
        registry.register("postgresql.fieldgate", driver.__name__, "Dialect")
        engine = create_engine(
            "postgresql+fieldgate://",
            creator=self._open,
            poolclass=QueuePool,
            pool_size=1,
            max_overflow=0,
            pool_timeout=self._settings.database_connect_seconds,
            # Parameters are people's data and errors end in logs.
            hide_parameters=True,
        )
        event.listen(engine, "checkout", _refuse_stale)
        return engine

    @cached_property
    def _reader(self) -> Engine:
        return self.engine.execution_options(isolation_level="AUTOCOMMIT")

    def _open(self) -> driver.Connection:
        settings = self._settings
        return open_connection(
            self._address(),
            deadline=min(_deadline.get(), time.monotonic() + settings.database_connect_seconds),
            ca_cert=settings.database_ca_cert,
            parameters=None if settings.database_proxied else session_settings(settings),
        )

    def _set_up(
        self, connection: Connection, actor: str = "", request_id: str = ""
    ) -> driver.Connection:
        dbapi_connection = cast("driver.Connection", connection.connection.dbapi_connection)
        dbapi_connection.deadline = _deadline.get()
        dbapi_connection.context = (actor, request_id)
        dbapi_connection.recorded_changes = False
        return dbapi_connection

    def _run[T](self, attempt: Callable[[], T]) -> T:
        seconds = min(self._settings.database_call_seconds, seconds_left())
        token = _deadline.set(time.monotonic() + seconds)
        try:
            with _translated():
                try:
                    return attempt()
                except DBAPIError as error:
                    # After a wait that was too long there is no time left for another.
                    if not error.connection_invalidated or _is_timeout(error):
                        raise
                    logger().warning("database connection dropped; opening another")
                return attempt()
        finally:
            _deadline.reset(token)


@once
def database() -> Database:
    """The database of this process, by its settings."""
    from fieldgate.relay import wake

    return Database(resolve_database_address, load(DatabaseSettings), on_recorded=wake)


def session_settings(settings: DatabaseSettings) -> dict[str, str]:
    """Return what `Database` wants its session to have, whoever makes it: times in milliseconds."""
    return {
        "TimeZone": "UTC",
        "statement_timeout": _milliseconds(settings.database_statement_seconds),
        "idle_in_transaction_session_timeout": _milliseconds(
            settings.database_idle_transaction_seconds
        ),
        # An environment that Lambda took away closes nothing: its connection would stay.
        "idle_session_timeout": _milliseconds(driver.IDLE_SECONDS + IDLE_MARGIN_SECONDS),
        # `read` may be repeated because it can't write.
        "default_transaction_read_only": "on",
    }


def violated_constraint(error: DBAPIError) -> str:
    """Return the name of the constraint that an IntegrityError broke, or ""."""
    fields = error.orig.args[0] if error.orig is not None and error.orig.args else None
    return str(fields.get("n", "")) if isinstance(fields, dict) else ""


def _refuse_stale(dbapi_connection: Any, _record: Any, _proxy: Any) -> None:
    """Have the pool open another connection when this one was closed while it lay idle."""
    if dbapi_connection.is_stale:
        raise DisconnectionError


def _roll_back(connection: Connection) -> None:
    try:
        connection.rollback()
    except DBAPIError:
        # The connection is gone and the transaction with it. The caller is to see what came first.
        connection.invalidate()


def _commit(connection: Connection) -> None:
    try:
        connection.commit()
    except DBAPIError as error:
        if error.connection_invalidated:
            raise Unavailable(OUTCOME_UNKNOWN) from error
        raise


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except PoolTimeout as error:
        raise Unavailable(SENTENCE) from error
    except DBAPIError as error:
        if error.connection_invalidated or driver.sqlstate(error.orig).startswith(_PASSING_STATES):
            raise Unavailable(SENTENCE) from error
        raise


def _is_timeout(error: DBAPIError) -> bool:
    return isinstance(error.orig, driver.WaitedTooLong)


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))
