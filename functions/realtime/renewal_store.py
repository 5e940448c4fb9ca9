"""The one query about what the caches may have missed (fieldgate.two_level_cache)."""

from collections.abc import Collection

from sqlalchemy import Connection, func, select

from fieldgate.db.tables.change_log import change_log


def marks(connection: Connection, tables: Collection[str]) -> dict[str, str]:
    """Return for each of `tables`, which seldom change, a text that is another after any change.

    How many changes there were is part of it: the last of them need not be committed last.
    """
    log = change_log.c
    found = connection.execute(
        select(log.entity, func.count().label("changes"), func.max(log.id).label("last"))
        .where(log.entity.in_(sorted(tables)))
        .group_by(log.entity)
    )
    by_table = {row.entity: f"{row.changes}:{row.last}" for row in found}
    return {table: by_table.get(table, "0") for table in tables}
