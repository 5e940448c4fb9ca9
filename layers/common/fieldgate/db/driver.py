"""pg8000 and SQLAlchemy's dialect for it, made to wait for the server no more than is needed.

pg8000 alone waits three times for one statement with parameters (parse, describe, execute), and
SQLAlchemy asks four questions of every new server. Between a function and its database each wait
is a trip through the network, so here a statement is one trip, BEGIN and the settings of the
transaction ride with its first statement, and a connection asks nothing. Faults are sorted where
they happen: a dropped connection, a wait that took too long, and the server's own errors by their
SQLSTATE.

The two methods that replace pg8000's are the protocol's "extended query" as PostgreSQL documents
it (https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-PIPELINING); they use
inner names of pg8000, which is why its version is pinned and tests/integration/db counts trips.
"""

import select
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, override

from pg8000 import dbapi
from pg8000.converters import make_params
from pg8000.core import DESCRIBE, FLUSH_MSG, NULL_BYTE, PORTAL, SYNC_MSG, Context, _flush, _write
from sqlalchemy.dialects.postgresql.pg8000 import PGDialect_pg8000

from fieldgate.db import waits
from fieldgate.db.values import READERS_BY_TYPE, WRITERS_BY_TYPE

# The least that COMMIT and ROLLBACK are given: work that just made its deadline is to be saved.
GRACE_SECONDS = 0.5

# NAT gateways and network load balancers forget a silent connection after 350 s without telling
# its ends; a statement sent after that waits for nothing.
IDLE_SECONDS = 300

BEGIN = "begin transaction"

# What the trigger of the change log says with the first change of a transaction.
CHANGES_RECORDED = b"fieldgate: changes recorded"

# What the change log records. OFFSET drops the row after computing it: rows that are sent, and the
# count of them, would be taken for those of the statement that follows.
_SET_CONTEXT = (
    "SELECT set_config('fieldgate.actor', $1, true),"
    " set_config('fieldgate.request_id', $2, true) OFFSET 1"
)

_ERRORS_BY_CLASS = {
    "22": dbapi.DataError,
    "23": dbapi.IntegrityError,
    "0A": dbapi.NotSupportedError,
    "42": dbapi.ProgrammingError,
}

# The server is going away (57P), or closed the session for idling in or outlasting a transaction.
_DROPPED_STATES = ("08", "57P01", "57P02", "57P03", "57P05", "25P03", "25P04")


class ConnectionDropped(dbapi.OperationalError):  # type: ignore[misc]
    """The connection ended under a statement: reset, closed, or shut down by an operator."""


class WaitedTooLong(dbapi.OperationalError):  # type: ignore[misc]
    """The server did not answer within the time of the call."""


def sqlstate(error: BaseException | None) -> str:
    """Return the SQLSTATE of one of pg8000's errors, or "" when it is not the server's."""
    fields = error.args[0] if error is not None and error.args else None
    return str(fields.get("C", "")) if isinstance(fields, dict) else ""


@lru_cache(maxsize=500)
def _numbered(statement: str) -> str:
    """Turn each %s into $1, $2, ... once; pg8000 does it letter by letter at every execution."""
    numbered, _ = dbapi.convert_paramstyle("format", statement, ())
    return str(numbered)


class _Stream:
    """The bytes to and from the server, without the Flush that pg8000 sends with every message.

    With it the server sends each answer as a packet of its own, four for one statement. What ends
    a round trip is Sync, which flushes as well.
    """

    def __init__(self, file: Any) -> None:
        self.read, self._write = file.read, file.write
        self.flush, self.close = file.flush, file.close

    def write(self, message: bytes) -> None:
        if message != FLUSH_MSG:
            self._write(message)


class Cursor(dbapi.Cursor):  # type: ignore[misc]
    """pg8000's, who reads a statement once a process and not at each execution."""

    _input_oids: Sequence[int]
    input_types: list[Any]

    @override
    def execute(self, operation: str, args: Sequence[Any] = (), stream: Any = None) -> None:
        if not args or stream is not None or self._c is None or self._c._sock is None:
            super().execute(operation, args, stream)
            return
        if not self._c._in_transaction and not self._c.autocommit:
            self._c.execute_simple(BEGIN)
        self._context = self._c.execute_unnamed(_numbered(operation), args, self._input_oids)
        self._row_iter = None if self._context.rows is None else iter(self._context.rows)
        self._input_oids, self.input_types = (), []


class Connection(dbapi.Connection):  # type: ignore[misc]
    """A pg8000 connection with one network round trip a statement and a deadline for all of them.

    `deadline` is a time of `time.monotonic()`: no statement waits for the server beyond it, and
    after it only COMMIT and ROLLBACK are sent, with GRACE_SECONDS to be answered in. `context` is
    actor and request id, sent with BEGIN. `recorded_changes` is set once the change log did record.
    """

    deadline = float("inf")
    context = ("", "")
    recorded_changes = False
    _sock: Any
    _usock: Any

    @override
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._begin_pending = False
        self._last_used = time.time()
        super().__init__(*args, **kwargs)
        self._sock = _Stream(self._sock)
        self.pg_types.update(READERS_BY_TYPE)
        self.py_types.update(WRITERS_BY_TYPE)

    @override
    def cursor(self) -> Cursor:
        return Cursor(self)

    @property
    def is_stale(self) -> bool:
        """Whether one end hung up, or may be forgotten by the network; asks neither.

        An idle connection has nothing to read unless the server closed it.
        """
        if self._usock is None:
            return True
        # Wall-clock time, because the monotonic clock may stand still in a frozen environment.
        if time.time() - self._last_used > IDLE_SECONDS:
            return True
        poll = select.poll()
        poll.register(self._usock, select.POLLIN)
        return bool(poll.poll(0))

    @override
    def close(self) -> None:
        file = self._sock
        try:
            super().close()
        finally:
            # pg8000 leaves it to the garbage collector, and the socket stays open until then.
            if file is not None:
                with suppress(OSError, ValueError):
                    file.close()

    def abandon(self) -> None:
        """Close our end and say nothing to the server."""
        for end in (self._sock, self._usock):
            if end is not None:
                with suppress(OSError, ValueError):
                    end.close()
        self._sock = self._usock = None

    @override
    def execute_simple(self, statement: str) -> Context:
        if statement == BEGIN:
            self._begin_pending = True
            return Context(statement)
        if self._begin_pending:
            # Nothing can ride with a simple query.
            return self.execute_unnamed(statement)
        return self._wait(lambda: super(Connection, self).execute_simple(statement))

    @override
    def execute_unnamed(
        self,
        statement: str,
        vals: Sequence[Any] = (),
        oids: Sequence[int] = (),
        stream: Any = None,
    ) -> Context:
        context = Context(statement, stream=stream)
        begin, self._begin_pending = self._begin_pending, False
        params = make_params(self.py_types, vals)

        def exchange() -> Context:
            if begin:
                # Reads run in autocommit and are refused to write (see engine.py).
                self._send_ahead("begin read write")
                self._send_ahead(_SET_CONTEXT, self.context)
            self.send_PARSE(NULL_BYTE, statement, oids)
            self.send_BIND(NULL_BYTE, params)
            self._send_message(DESCRIBE, PORTAL + NULL_BYTE)
            self.send_EXECUTE()
            _write(self._sock, SYNC_MSG)
            _flush(self._sock)
            self.handle_messages(context)
            return context

        return self._wait(exchange, grace=statement in {"commit", "rollback"})

    @override
    def handle_ERROR_RESPONSE(self, data: bytes, context: Context) -> None:
        super().handle_ERROR_RESPONSE(data, context)
        fields = context.error.args[0]
        # The detail shows the row that broke a constraint: phone, e-mail, password hash.
        fields.pop("D", None)
        cause = _ERRORS_BY_CLASS.get(fields.get("C", "")[:2], dbapi.OperationalError)
        context.error = cause(fields)

    @override
    def handle_NOTICE_RESPONSE(self, data: bytes, context: Context) -> None:
        super().handle_NOTICE_RESPONSE(data, context)
        if self.notices[-1].get(b"M") == CHANGES_RECORDED:
            self.recorded_changes = True

    def _send_ahead(self, statement: str, params: Sequence[str] = ()) -> None:
        # Undescribed, so it must return no rows. When it fails, the server skips what comes after.
        self.send_PARSE(NULL_BYTE, statement)
        self.send_BIND(NULL_BYTE, params)
        self.send_EXECUTE()

    def _wait(self, exchange: Callable[[], Context], *, grace: bool = False) -> Context:
        if self._usock is None:
            raise ConnectionDropped("the connection is closed")
        left = max(self.deadline - time.monotonic(), GRACE_SECONDS if grace else 0)
        if not left:
            raise WaitedTooLong("the time of the call is over")
        self._usock.settimeout(None if left == float("inf") else left)
        waits.count += 1
        try:
            return exchange()
        except (OSError, dbapi.InterfaceError) as error:
            root = error.__cause__ or error
            if isinstance(root, TimeoutError):
                raise WaitedTooLong("the server did not answer in time") from error
            if isinstance(root, OSError) or "network error" in str(error):
                raise ConnectionDropped("the connection was dropped") from error
            raise
        except dbapi.Error:
            raise
        except BaseException:
            # A parameter that can't be sent, or a value that can't be read, leaves messages behind
            # (BEGIN may be among them) that the next statement would send or read as its own.
            self.abandon()
            raise
        finally:
            self._last_used = time.time()


class Dialect(PGDialect_pg8000):
    """SQLAlchemy's pg8000 dialect for a PostgreSQL we know, so that it need not ask."""

    driver = "fieldgate"
    supports_statement_cache = True
    has_terminate = True

    @override
    def initialize(self, connection: Any) -> None:
        # What the base class finds out by four queries at every cold start.
        self.server_version_info = (18, 0)
        self.default_schema_name = "public"
        self.default_isolation_level = "READ COMMITTED"
        self._backslash_escapes = False

    @override
    def set_isolation_level(self, dbapi_connection: Any, level: str) -> None:
        # We use the server's own level and only choose whether BEGIN is sent; the base class
        # says so to the server each time, in two trips.
        dbapi_connection.autocommit = level == "AUTOCOMMIT"

    @override
    def is_disconnect(self, e: Any, connection: Any, cursor: Any) -> bool:
        return (
            isinstance(e, ConnectionDropped | WaitedTooLong)
            or sqlstate(e).startswith(_DROPPED_STATES)
            or "connection is closed" in str(e)
        )

    @override
    def do_terminate(self, dbapi_connection: Any) -> None:
        dbapi_connection.abandon()

    @override
    def do_close(self, dbapi_connection: Any) -> None:
        # The good-bye fails when the server went first, and that is no news.
        with suppress(OSError, dbapi.InterfaceError):
            dbapi_connection.close()
