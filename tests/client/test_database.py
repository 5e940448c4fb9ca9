"""The client's SQLite file."""

import os
import sqlite3
import stat
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from fieldgate_client import database
from fieldgate_client.database import SCHEMA, Database, default_path
from fieldgate_client.realtime_position import Bookmark
from fieldgate_client.tokens import Tokens, TokenStore

ROOT = Path(__file__).parents[2]
INSERT = "INSERT INTO tokens (server, user_id, access_token, refresh_token, expires_in)"
TOKENS = Tokens("a-user", "an-access-token", "a-refresh-token", 3600)


def test_it_and_its_folder_are_for_this_users_eyes_only(tmp_path: Path) -> None:
    path = tmp_path / "data" / "client.db"
    with Database(path) as database:
        TokenStore(database).save("https://a.example", TOKENS)
        assert {stat.S_IMODE(found.stat().st_mode) for found in path.parent.iterdir()} == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_what_was_open_to_others_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "client.db"
    with Database(path) as database:
        TokenStore(database).save("https://a.example", TOKENS)
        for found in tmp_path.iterdir():
            found.chmod(0o644)
        # As a killed process leaves them: with -wal and -shm.
        with Database(path):
            assert {stat.S_IMODE(found.stat().st_mode) for found in tmp_path.iterdir()} == {0o600}
            assert len(list(tmp_path.iterdir())) == 3


def test_what_a_transaction_wrote_is_on_the_disk_when_it_ends(tmp_path: Path) -> None:
    with Database(tmp_path / "client.db") as database:
        assert [tuple(row) for row in database.rows("PRAGMA synchronous")] == [(2,)]  # FULL
        assert [tuple(row) for row in database.rows("PRAGMA journal_mode")] == [("wal",)]
        assert [tuple(row) for row in database.rows("PRAGMA foreign_keys")] == [(1,)]


def test_a_transaction_that_raises_has_written_nothing(tmp_path: Path) -> None:
    with Database(tmp_path / "client.db") as database:

        def write_and_stop() -> None:
            with database.transaction() as connection:
                connection.execute("INSERT INTO tokens VALUES ('a', 'b', 'c', 'd', 1, 'e')")
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            write_and_stop()
        assert database.row("SELECT * FROM tokens") is None


def test_it_is_what_it_was_when_it_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "client.db"
    with Database(path) as database:
        TokenStore(database).save("https://a.example", TOKENS)
    with Database(path) as database:
        assert TokenStore(database).load("https://a.example") == TOKENS
        assert database.rows("PRAGMA user_version")[0][0] == len(SCHEMA)


def test_an_older_one_keeps_what_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "client.db"
    with closing(sqlite3.connect(path)) as older:
        for statement in SCHEMA[0]:
            older.execute(statement)
        older.execute("INSERT INTO tokens VALUES ('https://a.example', 'b', 'c', 'd', 5)")
        older.execute("PRAGMA user_version = 1")
        older.commit()

    with Database(path) as database:
        assert TokenStore(database).load("https://a.example") == Tokens("b", "c", "d", 5)
        assert Bookmark(database, "https://a.example", "b").position is None
        named = Tokens("b", "c", "d", 5, "Grower One")
        TokenStore(database).save("https://a.example", named)
        TokenStore(database).succeed("https://a.example", "d", Tokens("b", "x", "y", 6))
        assert TokenStore(database).load("https://a.example") == Tokens(
            "b", "x", "y", 6, "Grower One"
        )


def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "client.db"
    path.write_bytes(b"this is not a database, and long enough to tell" * 50)
    with pytest.raises(sqlite3.DatabaseError):
        Database(path)


def test_it_is_kept_where_the_machine_keeps_such_things(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/home/grower/.data")
    if sys.platform == "linux":
        assert default_path() == Path("/home/grower/.data/fieldgate/client.db")


COUNTING = """
import sys
from pathlib import Path
from fieldgate_client.database import Database
with Database(Path(sys.argv[1])) as database:
    for _ in range(50):
        with database.transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO tokens VALUES ('a', 'b', 'c', 'd', 0, 'e')")
            connection.execute("UPDATE tokens SET expires_in = expires_in + 1")
"""


def test_processes_that_begin_and_write_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "client.db"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "clients/python/src")}
    command = [sys.executable, "-c", COUNTING, str(path), INSERT]
    processes = [subprocess.Popen(command, env=environment) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0, 0, 0, 0]
    with Database(path) as database:
        assert database.rows("SELECT expires_in FROM tokens")[0][0] == 200


@pytest.mark.parametrize("patience", [30, -1])
def test_the_first_start_waits_for_who_writes_at_that_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patience: float
) -> None:
    """Here SQLite doesn't: it says at once that the file is locked."""
    path = tmp_path / "client.db"
    monkeypatch.setattr(database, "BUSY_SECONDS", patience)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr(time, "sleep", lambda _: other.execute("ROLLBACK"))
        if patience > 0:
            Database(path).close()
        else:
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                Database(path)


def test_successors_of_tokens_that_were_replaced_are_not_kept(tmp_path: Path) -> None:
    newer = Tokens("a-user", "newer", "newer-refresh", 3600)
    with Database(tmp_path / "client.db") as database:
        store = TokenStore(database)
        store.save("https://a.example", TOKENS)
        store.succeed("https://a.example", "a-refresh-token", newer)
        store.succeed("https://a.example", "a-refresh-token", TOKENS)
        assert store.load("https://a.example") == newer
        assert store.forget("https://a.example", "a-refresh-token") is False
        assert store.forget("https://a.example", "newer-refresh") is True
        assert store.load("https://a.example") is None
