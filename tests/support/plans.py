"""How the database means to execute what a query asks of it."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from sqlalchemy import Connection, event

from fieldgate.db.engine import Database


class Undone(Exception):
    """So that the next query finds the same rows."""


def plan_of(database: Database, query: Callable[[Connection], object]) -> list[dict[str, Any]]:
    """Return the nodes of the plans of all that `query` executes."""
    executed: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        executed.append((statement, parameters))

    def execute(connection: Connection) -> None:
        event.listen(connection, "before_cursor_execute", note)
        query(connection)
        raise Undone

    with pytest.raises(Undone):
        database.transact(execute)

    def explain(connection: Connection) -> list[dict[str, Any]]:
        return [
            node
            for statement, parameters in executed
            for [plan] in connection.exec_driver_sql(
                f"EXPLAIN (FORMAT JSON) {statement}", parameters
            ).scalars()
            for node in _flat(plan["Plan"])
        ]

    return database.read(explain)


def read_whole(plan: Sequence[dict[str, Any]]) -> set[str]:
    """Return the tables, and the indexes, that a plan reads from end to end."""
    tables = {node["Relation Name"] for node in plan if node["Node Type"] == "Seq Scan"}
    indexes = {
        node["Index Name"] for node in plan if "Index Name" in node and "Index Cond" not in node
    }
    return tables | indexes


def indexes_of(plan: Sequence[dict[str, Any]]) -> set[str]:
    return {node["Index Name"] for node in plan if "Index Name" in node}


def _flat(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for inner in node.get("Plans", []):
        yield from _flat(inner)
