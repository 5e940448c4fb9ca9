"""Counting what a piece of work costs the database."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from sqlalchemy import event

from fieldgate.db.driver import Connection
from fieldgate.db.engine import Database


@dataclass
class Traffic:
    """`statements` are those of the work; `round_trips` is how often the server was waited for."""

    statements: list[str] = field(default_factory=list)
    commits: int = 0
    rollbacks: int = 0
    round_trips: int = 0


@contextmanager
def count_statements(database: Database) -> Iterator[Traffic]:
    """Count what `database` does in the block. Connecting is not counted."""
    traffic = Traffic()
    engine = database.engine
    wait = Connection.handle_messages

    def executed(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        traffic.statements.append(statement)

    def committed(_c: Any) -> None:
        traffic.commits += 1

    def rolled_back(connection: Any) -> None:
        # SQLAlchemy says this at the end of every autocommit block; nothing is sent then.
        traffic.rollbacks += int(connection.connection.dbapi_connection._in_transaction)

    def waited(connection: Connection, context: Any) -> None:
        traffic.round_trips += 1
        wait(connection, context)

    listeners: list[tuple[str, Callable[..., None]]] = [
        ("before_cursor_execute", executed),
        ("commit", committed),
        ("rollback", rolled_back),
    ]
    for name, listener in listeners:
        event.listen(engine, name, listener)
    try:
        with patch.object(Connection, "handle_messages", waited):
            yield traffic
    finally:
        for name, listener in listeners:
            event.remove(engine, name, listener)
