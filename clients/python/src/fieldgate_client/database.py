"""The client's memory: one SQLite file, which survives a killed process and an empty battery.

WAL with synchronous=FULL: what a transaction wrote is on the disk when it returns, or all of it
is missing. Several processes may have the file open; each `Database` is used by one thread.
"""

import os
import sqlite3
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from platformdirs import user_data_dir

# How long a transaction waits for another process's, which takes milliseconds.
BUSY_SECONDS = 30.0
# Where SQLite doesn't wait by itself: how often to ask.
BUSY_PAUSE_SECONDS = 0.01
FILE_MODE = 0o600  # tokens are in it: nobody else's business
FOLDER_MODE = 0o700

# Version n of the schema is what the statements of the first n entries made. Only add entries.
SCHEMA = (
    (
        """
    CREATE TABLE tokens (
        server TEXT PRIMARY KEY,        -- no other server gets to see them
        user_id TEXT NOT NULL,
        access_token TEXT NOT NULL,
        refresh_token TEXT NOT NULL,
        expires_in INTEGER NOT NULL     -- seconds from when they came
    )
    """,
        """
    CREATE TABLE uploads (
        id TEXT PRIMARY KEY,
        server TEXT NOT NULL,
        user_id TEXT NOT NULL,          -- whose: phones are handed on
        path TEXT NOT NULL,
        folder TEXT NOT NULL,
        filename TEXT NOT NULL,
        content_type TEXT NOT NULL,
        size INTEGER NOT NULL,          -- size, time and digest say which file it was when added
        modified_ns INTEGER NOT NULL,
        sha256 TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'added' CHECK (state IN ('added', 'creating', 'sending',
            'completing', 'completed', 'failed', 'refused', 'cancelling', 'cancelled')),
        paused INTEGER NOT NULL DEFAULT 0,
        failure_reason TEXT,
        idempotency_key TEXT NOT NULL,  -- of POST /uploads; kept before it is sent
        upload_id TEXT,                 -- the server's, from here on
        media_id TEXT,
        chunk_size INTEGER,
        policy TEXT,
        failures INTEGER NOT NULL DEFAULT 0,    -- chunks that failed in a row
        retries INTEGER NOT NULL DEFAULT 0,     -- requests that had to be sent again
        restarts INTEGER NOT NULL DEFAULT 0,    -- the server forgot it, and it was begun anew
        mends INTEGER NOT NULL DEFAULT 0,       -- the server put together something else
        bytes_in_vain INTEGER NOT NULL DEFAULT 0 -- sent for an upload that the server forgot
    )
    """,
        """
    CREATE TABLE chunks (
        upload TEXT NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        length INTEGER NOT NULL,
        sha256 TEXT NOT NULL,
        acknowledged INTEGER NOT NULL DEFAULT 0,
        in_flight INTEGER NOT NULL DEFAULT 0,
        sent_bytes INTEGER NOT NULL DEFAULT 0,  -- all that went out for it, in every try
        PRIMARY KEY (upload, number)
    )
    """,
        """
    CREATE TABLE outbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT,   -- and the order of sending
        server TEXT NOT NULL,
        user_id TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('request', 'upload')),
        method TEXT,
        path TEXT,
        body TEXT,
        upload TEXT REFERENCES uploads (id),
        idempotency_key TEXT NOT NULL,
        after INTEGER REFERENCES outbox (id) ON DELETE SET NULL,    -- what has to be sent before
        created_at TEXT NOT NULL,
        first_sent_at TEXT,             -- when it may have been done, for all we know
        attempts INTEGER NOT NULL DEFAULT 0,
        last_error TEXT,
        state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'set_aside'))
    )
    """,
    ),
    (
        "ALTER TABLE uploads ADD COLUMN failure_message TEXT",  # the server's, beside its code
        "ALTER TABLE tokens ADD COLUMN name TEXT",  # whose they are, for people
    ),
    (
        """
    CREATE TABLE realtime_positions (
        server TEXT PRIMARY KEY,
        user_id TEXT NOT NULL,          -- whose: what another user heard is no use to this one
        epoch TEXT NOT NULL,
        stream_offset INTEGER NOT NULL  -- up to here everything was heard and dealt with
    )
    """,
    ),
)


def make_private(path: Path) -> None:
    """Have a file be there that is for this user's eyes only, whoever made it and when.

    An existing one is not opened: closing it again would end SQLite's locks on it, which are the
    process's (sqlite.org/howtocorrupt.html, 2.2).
    """
    while True:
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, FILE_MODE))
        except FileExistsError:
            try:
                _close_to_others(path)
            except FileNotFoundError:
                if path.is_symlink():
                    raise  # it leads nowhere, now and the next time
                continue  # whoever had it has just deleted it
        return


def _close_to_others(path: Path) -> None:
    if stat.S_IMODE(path.stat().st_mode) != FILE_MODE:
        path.chmod(FILE_MODE)


def default_path() -> Path:
    """Return where this machine keeps an application's data."""
    return Path(user_data_dir("fieldgate")) / "client.db"


class Database:
    """An open file. `path` and its folder are made if need be, for this user's eyes only."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or default_path()
        self.path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        # SQLite gives its files beside this one (-wal, -shm) the same mode, where it makes them.
        make_private(self.path)
        for suffix in ("-wal", "-shm"):
            with suppress(FileNotFoundError):
                _close_to_others(self.path.with_name(self.path.name + suffix))
        self._connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            self._connection.row_factory = sqlite3.Row
            self._have_write_ahead_log()
            for pragma in ("synchronous = FULL", "foreign_keys = ON"):
                self._connection.execute(f"PRAGMA {pragma}")
            self._migrate()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Begin to write; commit when the block ends, undo all of it when it raises."""
        # IMMEDIATE: waits for other writers now. Begun as a reader, it would fail on its first
        # write when somebody else wrote meanwhile, without waiting (sqlite.org/isolation.html).
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Read."""
        with closing(self._connection.execute(query, values)) as cursor:
            return cursor.fetchall()

    def row(self, query: str, values: Sequence[Any] = ()) -> sqlite3.Row | None:
        """Read the first row; None when there is none."""
        return next(iter(self.rows(query, values)), None)

    def _have_write_ahead_log(self) -> None:
        """Change the file to WAL, if nobody has yet.

        Two processes may be the first at once. SQLite doesn't wait for who writes meanwhile, as it
        does everywhere else, since both may want the same change and would wait for each other.
        """
        give_up_at = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() > give_up_at:
                    raise
                time.sleep(BUSY_PAUSE_SECONDS)
            else:
                return

    def _migrate(self) -> None:
        # Inside a transaction: two processes may be the first at once.
        with self.transaction() as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            for statement in chain.from_iterable(SCHEMA[version:]):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {max(version, len(SCHEMA))}")
