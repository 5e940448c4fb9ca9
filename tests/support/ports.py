"""Free ports of 127.0.0.1.

All are below the range that the kernel hands out by itself, where any connection may take one
before its test does; each run of the tests begins elsewhere, so that two don't meet.
"""

import itertools
import os
import socket

_pairs = itertools.count(10_000 + os.getpid() % 200 * 100, 2)


def free_port() -> int:
    """Return a port that nothing listens on now."""
    return free_port_pair()


def free_port_pair() -> int:
    """Return a free port whose next one is free as well: a stack's front door and its storage."""
    return next(port for port in _pairs if _is_free(port) and _is_free(port + 1))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
