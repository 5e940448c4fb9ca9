"""The file on the phone, and what is in its place."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fieldgate_client.errors import FileChanged
from fieldgate_client.local_file import chunk_digests, identify, identify_again, read_chunk


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_folder(path: Path) -> None:
    path.mkdir()


def a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [a_pipe, a_folder, a_device])
def test_what_is_no_file_is_said_to_be_none_and_waits_for_nobody(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    path = tmp_path / "leaf.pdf"
    path.write_bytes(b"leaf")
    was = identify(path)
    path.unlink()
    make(path)

    for look in (
        lambda: identify(path),
        lambda: identify_again(path, was),
        lambda: chunk_digests(path, 2, was),
        lambda: read_chunk(path, 0, 2, was.sha256),
    ):
        with pytest.raises(FileChanged, match=r"leaf.pdf can't be read: it is not a file\."):
            look()


def test_a_file_behind_a_link_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "leaf.pdf").write_bytes(b"leaf")
    (tmp_path / "link.pdf").symlink_to(tmp_path / "leaf.pdf")

    assert identify(tmp_path / "link.pdf").sha256 == hashlib.sha256(b"leaf").hexdigest()
