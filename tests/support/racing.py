"""The same work many times at once, on connections of its own, as many environments do it.

answers = race(database_url, 20, lambda database: refresh(database, token))
"""

from collections.abc import Callable
from contextlib import ExitStack, closing

from sqlalchemy import text

from fieldgate.db.engine import Database
from fieldgate.db.url import parse_url
from tests.support.parallel import at_once

# The server lets in a hundred, and the rest of the test wants some.
MAX_CONNECTIONS = 80


def race[T](url: str, number: int, work: Callable[[Database], T]) -> list[T]:
    """Do `work` in so many threads that begin at once; return what each returned."""
    with ExitStack() as stack:
        databases = [
            stack.enter_context(closing(Database(lambda: parse_url(url, "the test"))))
            for _ in range(min(number, MAX_CONNECTIONS))
        ]
        for database in databases:
            database.read(lambda connection: connection.execute(text("SELECT 1")))
        return at_once(number, lambda index: work(databases[index % len(databases)]))
