"""Taking possession of a stack's ports and directory, from nobody else."""

import errno
import fcntl
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.child import ServerFailed
from local.stack_settings import HOST, LAST_PORT, StackSettings

# In a directory that a stack made, and may empty.
MARKER = ".fieldgate-stack"


@contextmanager
def claimed(settings: StackSettings) -> Iterator[None]:
    """See that the two fixed ports are free, and have the data directory, emptied, to ourselves.

    Raises:
        ServerFailed: something listens there already, or the directory isn't a stack's to take.

    """
    for port in (settings.port, settings.port + 1):
        _check_port(port, instead=_another(settings.port))
    with claimed_directory(settings.data):
        yield


@contextmanager
def claimed_directory(directory: Path) -> Iterator[None]:
    """Leave `directory` with nothing in it but our marker, and keep other stacks out of it.

    What is in it is only removed where the marker shows that a stack put it there.

    Raises:
        ServerFailed: there are other things in it, another stack uses it, or it can't be made.

    """
    with _prepared(directory).open("r") as marker:
        try:
            fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ServerFailed(f"Another stack uses {directory}, or is just ending.") from None
        _empty(directory)
        yield


def _prepared(directory: Path) -> Path:
    marker = directory / MARKER
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if not marker.is_file() and any(directory.iterdir()):
            raise ServerFailed(
                f"{directory} holds files that no stack wrote ({MARKER} is missing). Each start "
                "removes what is in its directory: empty it yourself, or name another one in "
                "FIELDGATE_DATA_DIR."
            )
        marker.touch()
    except OSError as error:
        raise _unusable(directory, error) from None
    return marker


def _empty(directory: Path) -> None:
    # The marker stays, so that the next start may finish what this one could not.
    entries = [entry for entry in directory.iterdir() if entry.name != MARKER]
    try:
        for entry in entries:
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
    except OSError as error:
        raise _unusable(directory, error) from None


def _unusable(directory: Path, error: OSError) -> ServerFailed:
    return ServerFailed(
        f"{directory} can't be made the stack's directory: {error.strerror}"
        f" ({error.filename}). FIELDGATE_DATA_DIR names another one."
    )


def _another(port: int) -> int:
    return port + 100 if port < LAST_PORT - 100 else port - 100


def free_port(settings: StackSettings) -> int:
    """Return a port that nothing listens on now, and that the stack won't want for itself later."""
    while True:
        with socket.socket() as listener:
            listener.bind((HOST, 0))
            port = int(listener.getsockname()[1])
        if port not in {settings.port, settings.port + 1}:
            return port


def _check_port(port: int, *, instead: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                raise
            raise ServerFailed(
                f"Port {port} is not free. Does the stack run already? Another one can run "
                f"beside it: PORT={instead} make up"
            ) from None
