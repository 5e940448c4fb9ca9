"""Pages of a table, newest first."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Table, func, literal, select, true

# Counting is looking at each row: of a million it would take a hundred times as long as the page.
MOST_COUNTED = 10_000


def newest_page(
    connection: Connection,
    table: Table,
    columns: Sequence[ColumnElement[Any]],
    condition: ColumnElement[bool],
    *,
    limit: int,
    offset: int,
    by: Sequence[str] = ("created_at", "id"),
) -> tuple[list[RowMapping], int]:
    """Return one page of `table`, and how many rows there are in all: one round trip for both.

    It is ordered `by` some of `columns`, of which `id` must be one. Of more than `MOST_COUNTED`
    rows so many are counted.
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
        .limit(limit)
        .offset(offset)
        .subquery("page")
    )
    found = connection.execute(
        select(all_of_it.c.total, *rows.c)
        .select_from(all_of_it.outerjoin(rows, true()))
        .order_by(*(rows.c[name].desc() for name in by))
    ).mappings()
    # A page past the end still has the one row that carries the total.
    everything = found.all()
    return [row for row in everything if row["id"]], everything[0]["total"]
