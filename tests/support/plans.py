"""How the database means to execute what a query asks of it."""

import json
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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


# Every statement that a connection executes is told to it as a notice: its plan and what it did,
# those of triggers and of foreign keys among them.
EXPLAINING = {
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_timing": "off",
    "auto_explain.log_nested_statements": "on",
    "auto_explain.log_format": "json",
    "auto_explain.log_level": "notice",
}


@dataclass(frozen=True)
class Executed:
    """A statement that was executed: the nodes of its plan, and how long it took."""

    statement: str
    milliseconds: float
    nodes: Sequence[dict[str, Any]]

    def rows_read(self) -> Counter[str]:
        """Return how many rows it looked at, by table and by index, those it had no use for too."""
        read: Counter[str] = Counter()
        for node in self.nodes:
            looked_at = node.get("Actual Rows", 0) + sum(
                node.get(name, 0) for name in node if name.startswith("Rows Removed by")
            )
            for kind in ("Relation Name", "Index Name"):
                if kind in node and "Scan" in node["Node Type"]:
                    read[node[kind]] += round(looked_at * node.get("Actual Loops", 0))
        return read


def executed_by(database: Database, query: Callable[[Connection], object]) -> list[Executed]:
    """Return what the database executes for `query`, which is undone. It must be `EXPLAINING`."""
    notices: deque[dict[bytes, bytes]] = deque()

    def execute(connection: Connection) -> None:
        connection.connection.dbapi_connection.notices = notices  # type: ignore[union-attr]
        query(connection)
        raise Undone

    with pytest.raises(Undone):
        database.transact(execute)
    messages = [notice[b"M"].decode() for notice in notices]
    return [_executed(message) for message in messages if message.startswith("duration: ")]


def _executed(message: str) -> Executed:
    duration, _, plan = message.partition("plan:\n")
    told = json.loads(plan)
    return Executed(told["Query Text"], float(duration.split()[1]), list(_flat(told["Plan"])))
