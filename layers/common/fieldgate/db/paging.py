"""Pages of a table, newest first."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    RowMapping,
    Select,
    Table,
    bindparam,
    func,
    literal,
    select,
    true,
)

# Counting is looking at each row: of a million it would take a hundred times as long as the page.
MOST_COUNTED = 10_000


def newest_page(
    table: Table,
    columns: Sequence[ColumnElement[Any]],
    condition: ColumnElement[bool],
    *,
    by: Sequence[str] = ("created_at", "id"),
) -> Select[Any]:
    """Return the statement that `read_page` runs: rows of `table` that `condition` is true of.

    They are ordered `by` some of `columns`, of which `id` must be one. What differs between two
    requests is a `bindparam` of `condition`: building the statement takes the processor longer
    than running it, so callers build each once.
    """
    newest_first = [table.c[name].desc() for name in by]
    # In the same order, so that the same index serves both.
    counted = select(literal(1)).select_from(table).where(condition).order_by(*newest_first)
    all_of_it = (
        select(func.count().label("total"))
        .select_from(counted.limit(MOST_COUNTED).subquery())
        .subquery("total")
    )
    rows = (
        select(*columns)
        .where(condition)
        .order_by(*newest_first)
        .limit(bindparam("limit", type_=Integer))
        .offset(bindparam("offset", type_=Integer))
        .subquery("page")
    )
    return (
        select(all_of_it.c.total, *rows.c)
        .select_from(all_of_it.outerjoin(rows, true()))
        .order_by(*(rows.c[name].desc() for name in by))
    )


def read_page(
    connection: Connection, statement: Select[Any], *, limit: int, offset: int, **values: Any
) -> tuple[list[RowMapping], int]:
    """Return one page, and how many rows there are in all: one round trip for both.

    `values` are those of the condition's parameters; what it has none for is left out. Of more than
    `MOST_COUNTED` rows so many are counted.
    """
    values |= {"limit": limit, "offset": offset}
    everything = connection.execute(statement, values).mappings().all()
    # A page past the end still has the one row that carries the total.
    return [row for row in everything if row["id"]], everything[0]["total"]
