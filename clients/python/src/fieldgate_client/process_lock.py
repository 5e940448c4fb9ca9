"""A lock that one process, and one task of it, holds at a time; it goes when the process goes.

It is SQLite's own lock on an empty file, so it works wherever the database does, and a killed
process leaves nothing behind to clean up. On a phone with one process a mutex does as well.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from fieldgate_client.database import make_private


@contextmanager
def process_lock(path: Path) -> Iterator[bool]:
    """Yield whether the lock was free; if so it is held until the block is left."""
    make_private(path)
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            yield False
        else:
            yield True
