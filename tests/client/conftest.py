"""The client is tested on this machine alone: any other name or address fails the test."""

import ipaddress
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.support.memory import memory


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder of this test's own, in memory: the client waits for its disk after each change."""
    with TemporaryDirectory(prefix="fieldgate-client-", dir=memory()) as folder:
        yield Path(folder)


@pytest.fixture(autouse=True)
def no_sniffio(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have httpcore find at once that this isn't installed, not by a look at the disk each time.

    It looks some ten times in a request, which with a long path takes as long as the request.
    """
    monkeypatch.setitem(sys.modules, "sniffio", None)


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail the test that looks up a name or connects to an address beyond this machine."""
    strangers: list[object] = []
    look_up, connect = socket.getaddrinfo, socket.socket.connect

    def guarded_look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
        if not _is_here(host):
            strangers.append(host)
            raise OSError(f"a test looked up {host!r}")
        return look_up(host, *args, **kwargs)

    def guarded_connect(self: socket.socket, address: Any) -> None:
        if self.family in {socket.AF_INET, socket.AF_INET6} and not _is_here(address[0]):
            strangers.append(address)
            raise OSError(f"a test connected to {address!r}")
        connect(self, address)

    monkeypatch.setattr(socket, "getaddrinfo", guarded_look_up)
    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    yield
    assert strangers == [], "only this machine may be asked in a test"


def _is_here(host: object) -> bool:
    if host in {None, "localhost", b"localhost"}:
        return True
    text = host.decode() if isinstance(host, bytes) else str(host)
    try:
        return ipaddress.ip_address(text).is_loopback
    except ValueError:
        return False
