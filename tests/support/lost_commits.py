"""The connection to the database, cut exactly at COMMIT: nobody knows whether it was saved.

with lost_commit(live_database, environment, saved=True):
    assert verify(challenge, code).status == 503
"""

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from os import environ

import pytest

from fieldgate.db.engine import Database
from fieldgate.db.url import parse_url

# As the protocol's message Parse has it, between the names of nothing and of no types.
_COMMIT = b"\0commit\0"


@contextmanager
def lost_commit(
    database: Database, environment: pytest.MonkeyPatch, *, saved: bool
) -> Iterator[None]:
    """Have the block's first COMMIT cut: after the server did it (`saved`), or before it knows.

    `database` is the one that the setting DATABASE_URL leads to.
    """
    direct = environ["DATABASE_URL"]
    address = parse_url(direct, "the test")
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
        arguments = listener, (address.host, address.port), saved
        thread = threading.Thread(target=_serve, args=arguments, name="lost commit")
        thread.start()
        try:
            database.close()
            environment.setenv("DATABASE_URL", direct.replace(f":{address.port}/", f":{port}/"))
            yield
        finally:
            database.close()
            environment.setenv("DATABASE_URL", direct)
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(listener: socket.socket, target: tuple[str, int], saved: bool) -> None:
    """Pass one connection on, until its COMMIT."""
    try:
        client, _ = listener.accept()
    except OSError:  # nobody came
        return
    with client, socket.create_connection(target) as server:
        while True:
            for end in select.select([client, server], [], [])[0]:
                other = server if end is client else client
                content = end.recv(65_536)
                if not content:
                    return
                if end is client and _COMMIT in content:
                    if saved:
                        server.sendall(content)
                        server.recv(65_536)
                    return
                other.sendall(content)
