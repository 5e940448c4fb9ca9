"""A TCP proxy on loopback that counts how often a client has waited for its server.

with counting("127.0.0.1", 5432) as counter:
    ...                      # talk to 127.0.0.1:counter.port
    print(counter.trips)
"""

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

_CHUNK = 256 * 1024


class Counter:
    """`trips` is how often the client spoke after the server had, or for the first time."""

    def __init__(self, port: int) -> None:
        """Begin at none."""
        self.port = port
        self.trips = 0


@contextmanager
def counting(host: str, port: int) -> Iterator[Counter]:
    """Serve until the block is left, one connection after the other."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        counter = Counter(listener.getsockname()[1])
        thread = threading.Thread(target=_serve, args=(listener, (host, port), counter))
        thread.start()
        try:
            yield counter
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(listener: socket.socket, target: tuple[str, int], counter: Counter) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        with client, socket.create_connection(target) as server:
            _exchange(client, server, counter)


def _exchange(client: socket.socket, server: socket.socket, counter: Counter) -> None:
    other, last = {client: server, server: client}, server
    while True:
        readable, _, _ = select.select(other, [], [])
        for end in readable:
            data = end.recv(_CHUNK)
            if not data:
                return
            # A good-bye is not waited for.
            if end is client and last is server and data[:1] != b"X":
                counter.trips += 1
            last = end
            other[end].sendall(data)
