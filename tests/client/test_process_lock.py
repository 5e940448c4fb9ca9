"""A lock that goes with its process."""

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from fieldgate_client import process_lock as module
from fieldgate_client.process_lock import process_lock

SOURCES = Path(module.__file__).parents[1]


def test_one_at_a_time(tmp_path: Path) -> None:
    with process_lock(tmp_path / "lock") as first:
        with process_lock(tmp_path / "lock") as second, process_lock(tmp_path / "other") as other:
            assert (first, second, other) == (True, False, True)
        with process_lock(tmp_path / "lock") as third:
            assert not third
    with process_lock(tmp_path / "lock") as fourth:
        assert fourth


def test_it_is_for_this_users_eyes_only_whoever_made_it_and_whoever_asks(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.touch(0o644)
    for path in (old, tmp_path / "new"):
        with process_lock(path) as first:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            with process_lock(path) as second:
                assert (first, second) == (True, False)


ASKING = """
import sys
from pathlib import Path
from fieldgate_client.process_lock import process_lock
with process_lock(Path(sys.argv[1])) as free:
    print(free)
"""


def test_asking_for_it_does_not_end_it_for_other_processes(tmp_path: Path) -> None:
    """A process that closes a file ends its own locks on it (fcntl(2)), which SQLite's are."""

    def is_free() -> str:
        command = [sys.executable, "-c", ASKING, str(tmp_path / "lock")]
        environment = os.environ | {"PYTHONPATH": str(SOURCES)}
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True
        ).stdout.strip()

    with process_lock(tmp_path / "lock") as ours:
        with process_lock(tmp_path / "lock") as again:
            assert (ours, again) == (True, False)
        assert is_free() == "False"
    assert is_free() == "True"


def test_it_is_free_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), process_lock(tmp_path / "lock"):
        raise KeyError
    with process_lock(tmp_path / "lock") as free:
        assert free


def test_a_lock_that_cannot_be_made_is_not_taken_for_a_lock_that_is_held(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), process_lock(tmp_path / "missing" / "lock"):
        pass
    (tmp_path / "broken").write_text("something else" * 100)
    with pytest.raises(sqlite3.DatabaseError), process_lock(tmp_path / "broken"):
        pass


class Vanishing(Path):
    """A file that its owner deletes just before somebody looks at it."""

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        if not hasattr(self, "is_gone"):
            self.is_gone = True
            self.unlink()
        return super().stat(follow_symlinks=follow_symlinks)


def test_a_lock_that_its_owner_deletes_meanwhile_is_made_anew(tmp_path: Path) -> None:
    path = Vanishing(tmp_path / "lock")
    path.touch(0o644)

    with process_lock(path) as free:
        assert free
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.is_gone


def test_a_lock_that_leads_nowhere_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "missing" / "lock")
    with pytest.raises(FileNotFoundError), process_lock(tmp_path / "lock"):
        pass
