"""What is asked of a query that runs for each request, message or round."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, text

from fieldgate.db.engine import Database
from fieldgate.db.paging import MOST_COUNTED
from tests.support.plans import executed_by

# Of a million: a batch of a thousand, and what is looked up for each.
MOST_ROWS = 5_000
_BIG = """
    SELECT relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND reltuples > 100000"""


@dataclass(frozen=True)
class Hot:
    """A query as it runs; a statement of it looks at no more than `most_rows` of a table.

    Where these are more than `MOST_ROWS`, or the `whole` table, there is a reason `why`.
    """

    run: Callable[[Connection], object]
    most_rows: int = MOST_ROWS
    whole: bool = False
    why: str = ""


def page_of(find: Callable[[Connection], object]) -> Hot:
    """Return a query of a page, and of how many rows there are."""
    return Hot(find, MOST_COUNTED + 100, why="counts up to 10,000, by the index of the page")


def faults(database: Database, query: Hot) -> list[str]:
    """Return what is wrong with how the database goes about a query."""
    assert query.why or (query.most_rows <= MOST_ROWS and not query.whole)
    big = database.read(lambda connection: set(connection.execute(text(_BIG)).scalars()))
    found = []
    for executed in executed_by(database, query.run):
        read = executed.rows_read()
        found += [
            f"looks at {rows} rows of {n}" for n, rows in read.items() if rows > query.most_rows
        ]
        found += [
            f"reads all of {node['Relation Name']}"
            for node in executed.nodes
            if node["Node Type"] == "Seq Scan" and node["Relation Name"] in big and not query.whole
        ]
    return found
