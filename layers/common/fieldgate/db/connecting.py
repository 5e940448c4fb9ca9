"""Opening a connection: by a deadline, to any of the host's addresses, with TLS verified."""

import os
import socket
import ssl
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

from pg8000.exceptions import Error as DriverError

from fieldgate.db import driver
from fieldgate.db.url import DatabaseAddress
from fieldgate.errors import Unavailable
from fieldgate.settings import forget_secrets

SENTENCE = "The database cannot be reached right now. Please try again shortly."


class DatabaseUnreachable(Unavailable):
    """No connection could be made: nothing listens, nothing answers, or the server is starting."""


def open_connection(
    address: DatabaseAddress,
    *,
    deadline: float,
    ca_cert: str = "",
    parameters: dict[str, str] | None = None,
) -> driver.Connection:
    """Connect by `deadline` (a time of the monotonic clock), with TLS verified except on loopback.

    `parameters` are settings of the session. They are sent with the login, so they cost no round
    trip of their own; a proxy may refuse a login for any of them.

    Raises:
        DatabaseUnreachable: nothing answers (in time), or the server is not ready yet.
        Unavailable: the server refuses us: wrong password, no such database.

    """
    context = False if address.is_loopback else tls_context(ca_cert)
    sock = None
    try:
        sock = _open_socket(address, deadline)
        return driver.Connection(
            address.username,
            host=address.host,
            database=address.database,
            password=address.password,
            sock=sock,
            ssl_context=context,
            application_name=os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "fieldgate"),
            startup_params=parameters,
        )
    except BaseException as error:
        if sock is not None:
            sock.close()
        if not isinstance(error, OSError | DriverError):
            raise
        state = driver.sqlstate(error)
        if state.startswith("28"):
            # Refused: the password may have been rotated. The next connection reads it anew.
            forget_secrets()
        if state and not state.startswith(("08", "53", "57")):
            raise Unavailable(SENTENCE) from error
        raise DatabaseUnreachable(SENTENCE) from error


@cache
def tls_context(ca_cert: str) -> ssl.SSLContext:
    """Return the process's one TLS context: chain and host name verified, TLS 1.2 or later.

    `ca_cert` is a path to, or the PEM text of, the only authorities trusted; "" means the
    system's. Made once, because reading the system's takes 20 ms.
    """
    if "-----BEGIN" in ca_cert:
        return ssl.create_default_context(cadata=ca_cert)
    return ssl.create_default_context(cafile=str(Path(ca_cert)) if ca_cert else None)


def _open_socket(address: DatabaseAddress, deadline: float) -> socket.socket:
    def left() -> float:
        # Zero would mean "do not wait at all", which is another error.
        return max(deadline - time.monotonic(), 0.01)

    sock = _connect(address, left)
    sock.settimeout(left())
    # A statement over 8 KB leaves in several writes; Nagle would hold the last for 40 ms.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return sock


def _connect(address: DatabaseAddress, left: Callable[[], float]) -> socket.socket:
    """Connect to the first of the host's addresses that answers, within what is left for all.

    socket.create_connection would give each of them all of the time.
    """
    refusal = OSError("the host has no address")
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    for family, kind, protocol, _, place in found:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(left())
            sock.connect(place)
        except OSError as error:
            sock.close()
            refusal = error
        else:
            return sock
    raise refusal
