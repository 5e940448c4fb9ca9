"""The file on the phone: which one it was when it was added, and its bytes, chunk by chunk.

All of these read the disk and block: call them in a thread. None holds more than a chunk.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fieldgate_client.errors import FileChanged

READ_BYTES = 1024 * 1024


@dataclass(frozen=True)
class FileIdentity:
    """Which file it was: its bytes by SHA-256 (hex), and what is quicker to ask for."""

    size: int
    modified_ns: int
    sha256: str


def identify(path: Path) -> FileIdentity:
    """Read a file through and say which it is.

    Raises:
        FileChanged: it is not there, can't be read, or was written to meanwhile.

    """
    before = _stamp(path)
    digest = hashlib.sha256()
    for block in _blocks(path, READ_BYTES):
        digest.update(block)
    if _stamp(path) != before:
        raise FileChanged(f"{path} is being written to.")
    return FileIdentity(*before, digest.hexdigest())


def identify_again(path: Path, expected: FileIdentity) -> FileIdentity:
    """Return `expected`, with the file's present time, after making sure that it is that file.

    Untouched by size and time, it isn't read: each chunk is compared before it is sent anyway.

    Raises:
        FileChanged: it is another.

    """
    if _stamp(path) == (expected.size, expected.modified_ns):
        return expected
    found = identify(path)
    if found.sha256 != expected.sha256:
        raise FileChanged(f"{path} is not as it was when it was added.")
    return found


def chunk_digests(path: Path, chunk_bytes: int, expected: FileIdentity) -> list[str]:
    """Return the SHA-256 (hex) of each chunk of the very file that was added.

    Raises:
        FileChanged: it is another.

    """
    whole = hashlib.sha256()
    digests = []
    for chunk in _blocks(path, chunk_bytes):
        whole.update(chunk)
        digests.append(hashlib.sha256(chunk).hexdigest())
    if whole.hexdigest() != expected.sha256:
        raise FileChanged(f"{path} is not as it was when it was added.")
    return digests


def read_chunk(path: Path, offset: int, length: int, sha256: str) -> bytes:
    """Return the bytes of a chunk.

    Raises:
        FileChanged: they are not those of `sha256`.

    """
    try:
        with _open(path) as file:
            file.seek(offset)
            chunk = file.read(length)
    except OSError as error:
        raise FileChanged(f"{path} can't be read: {error.strerror}.") from error
    if hashlib.sha256(chunk).hexdigest() != sha256:
        raise FileChanged(f"{path} is not as it was when it was added.")
    return chunk


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise FileChanged(f"{path} can't be read: {error.strerror}.") from error
    _check_kind(path, found)
    return found.st_size, found.st_mtime_ns


def _check_kind(path: Path, found: os.stat_result) -> None:
    """Refuse what never ends (a device) or never begins (a pipe that nobody writes to)."""
    if not stat.S_ISREG(found.st_mode):
        raise FileChanged(f"{path} can't be read: it is not a file.")


def _open(path: Path) -> BinaryIO:
    def at_once(name: str, flags: int) -> int:
        # What was a file a moment ago may be a pipe now, whose opening would wait for its writer.
        descriptor = os.open(name, flags | getattr(os, "O_NONBLOCK", 0))
        try:
            _check_kind(path, os.fstat(descriptor))
        except FileChanged:
            os.close(descriptor)
            raise
        return descriptor

    return open(path, "rb", opener=at_once)


def _blocks(path: Path, block_bytes: int) -> Iterator[bytes]:
    try:
        with _open(path) as file:
            while block := file.read(block_bytes):
                yield block
    except OSError as error:
        raise FileChanged(f"{path} can't be read: {error.strerror}.") from error
