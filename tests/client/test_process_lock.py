"""A lock that goes with its process."""

import sqlite3
from pathlib import Path

import pytest

from fieldgate_client.process_lock import process_lock


def test_one_at_a_time(tmp_path: Path) -> None:
    with process_lock(tmp_path / "lock") as first:
        with process_lock(tmp_path / "lock") as second, process_lock(tmp_path / "other") as other:
            assert (first, second, other) == (True, False, True)
        with process_lock(tmp_path / "lock") as third:
            assert not third
    with process_lock(tmp_path / "lock") as fourth:
        assert fourth


def test_it_is_free_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), process_lock(tmp_path / "lock"):
        raise KeyError
    with process_lock(tmp_path / "lock") as free:
        assert free


def test_a_lock_that_cannot_be_made_is_not_taken_for_a_lock_that_is_held(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError), process_lock(tmp_path / "missing" / "lock"):
        pass
    (tmp_path / "broken").write_text("something else" * 100)
    with pytest.raises(sqlite3.DatabaseError), process_lock(tmp_path / "broken"):
        pass
