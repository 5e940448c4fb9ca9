"""Pages of a table, newest first."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Table, func, select, true


def newest_page(
    connection: Connection,
    table: Table,
    columns: Sequence[ColumnElement[Any]],
    condition: ColumnElement[bool],
    *,
    limit: int,
    offset: int,
) -> tuple[list[RowMapping], int]:
    """Return one page of `table`, and how many rows there are in all: one round trip for both.

    `columns` must have `id` and `created_at`, by which the page is ordered.
    """
    total = select(func.count().label("total")).select_from(table).where(condition)
    all_of_it = total.subquery("total")
    rows = (
        select(*columns)
        .where(condition)
        .order_by(table.c.created_at.desc(), table.c.id.desc())
        .limit(limit)
        .offset(offset)
        .subquery("page")
    )
    found = connection.execute(
        select(all_of_it.c.total, *rows.c)
        .select_from(all_of_it.outerjoin(rows, true()))
        .order_by(rows.c.created_at.desc(), rows.c.id.desc())
    ).mappings()
    # A page past the end still has the one row that carries the total.
    everything = found.all()
    return [row for row in everything if row["id"]], everything[0]["total"]
