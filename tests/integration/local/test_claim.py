"""A stack takes only what is free, and empties only what a stack has made."""

import os
import socket
from pathlib import Path

import pytest

from local.child import ServerFailed
from local.claim import MARKER, claimed, claimed_directory
from local.stack_settings import StackSettings
from tests.support.ports import free_port, free_port_pair


def left(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


@pytest.mark.parametrize("there", [False, True], ids=["absent", "empty"])
def test_a_directory_that_is_absent_or_empty_is_taken(tmp_path: Path, there: bool) -> None:
    directory = tmp_path / "deep" / "data"
    if there:
        directory.mkdir(parents=True)
    with claimed_directory(directory):
        pass
    assert left(directory) == {MARKER}


def test_a_stacks_own_directory_is_emptied(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    directory = tmp_path / "data"
    with claimed_directory(directory):
        pass
    (directory / "postgres").mkdir()
    (directory / "postgres" / "PG_VERSION").write_text("18")
    (directory / "stack.json").write_text("{}")
    (directory / "link").symlink_to(outside)

    with claimed_directory(directory):
        pass

    assert left(directory) == {MARKER}
    assert left(outside) == {"kept"}


def test_a_directory_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.odt").write_text("three years of work")
    with (
        pytest.raises(ServerFailed, match=f"{tmp_path} holds files that no stack wrote"),
        claimed_directory(tmp_path),
    ):
        pass
    assert left(tmp_path) == {"thesis.odt"}


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("mine")
    with (
        pytest.raises(ServerFailed, match="can't be made the stack's directory: File exists"),
        claimed_directory(tmp_path / "data"),
    ):
        pass
    assert (tmp_path / "data").read_text() == "mine"


@pytest.mark.parametrize("offset", [0, 1], ids=["front door", "storage"])
def test_nothing_is_removed_when_a_port_is_taken(tmp_path: Path, offset: int) -> None:
    with claimed_directory(tmp_path):
        pass
    (tmp_path / "stack.json").write_text("{}")
    port = free_port_pair()
    with (
        socket.create_server(("127.0.0.1", port + offset)),
        pytest.raises(ServerFailed, match=f"Port {port + offset} is not free"),
        claimed(StackSettings(port, tmp_path)),
    ):
        pass
    assert left(tmp_path) == {MARKER, "stack.json"}


def test_the_directory_is_named_by_port_or_by_a_variable_of_our_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    port = str(free_port())
    monkeypatch.setenv("PORT", port)
    # Other tools read this one, and what it names is theirs.
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.delenv("FIELDGATE_DATA_DIR", raising=False)
    default = StackSettings.from_environment().data
    assert default.parts[-2:] == (".local", port)
    monkeypatch.setenv("FIELDGATE_DATA_DIR", os.path.relpath(tmp_path))
    assert StackSettings.from_environment().data == tmp_path


def test_a_directory_in_use_is_nobody_elses(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    with claimed_directory(directory):
        (directory / "kept").touch()
        with pytest.raises(ServerFailed, match="Another stack uses"), claimed_directory(directory):
            pass
        assert left(directory) == {MARKER, "kept"}
    with claimed_directory(directory):
        assert left(directory) == {MARKER}
