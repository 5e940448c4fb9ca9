"""Work done at the same moment, on connections of its own, as many environments do it.

answers = race(database_url, [lambda database: refresh(database, token)] * 20)
assert outcomes(database_url, [sign_in] * 100) == {"in": 1, "GONE": 99}
"""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, closing
from functools import partial

from sqlalchemy import Connection, text

from fieldgate.db.engine import Database
from fieldgate.db.url import parse_url
from fieldgate.errors import FieldgateError
from tests.support.parallel import at_once


def race[T](url: str, works: Sequence[Callable[[Database], T]]) -> list[T]:
    """Begin all `works` at once, each in a thread; return what they returned.

    A hundred and some more is what the test server has connections for.
    """
    with ExitStack() as stack:
        databases = [
            stack.enter_context(closing(Database(lambda: parse_url(url, "the test"))))
            for _ in works
        ]
        for database in databases:
            database.read(lambda connection: connection.execute(text("SELECT 1")))
        return at_once(len(works), lambda index: works[index](databases[index]))


def outcomes(url: str, works: Sequence[Callable[[Database], str]]) -> Counter[str]:
    """Count what came of a race: what was returned, and refusals by their code."""
    return Counter(race(url, [partial(_outcome, work) for work in works]))


def _outcome(work: Callable[[Database], str], database: Database) -> str:
    try:
        return work(database)
    except FieldgateError as refusal:
        return refusal.code


def waiting[T](work: Future[T], connection: Connection) -> Future[T]:
    """Return `work` once it waits for what the connection's transaction holds."""
    locked = text("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
    while not connection.scalar(locked):
        assert not work.done()
    return work
