"""A proxy before PostgreSQL that refuses logins as RDS Proxy does: for any setting sent with them.

with strict_proxy(database_url) as url:
    Database(lambda: parse_url(url, "the test"), DatabaseSettings(DATABASE_PROXIED=True))

What RDS Proxy sets on connections that it opens, `init_settings` says.
"""

import re
import select
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from fieldgate.db.url import parse_url
from local import template as sam
from local.template import ROOT

# What a login is made of; everything else is a setting of the session.
_LOGIN = {"user", "database", "application_name", "client_encoding"}
_SET = re.compile(r"SET (\w+) = '?([^';]+)'?")


def database_template() -> dict[str, Any]:
    return sam.read_template(ROOT / "database.yaml")


def init_query() -> str:
    """Return what RDS Proxy is told to run on each connection that it opens."""
    group = database_template()["Resources"]["ProxyTargets"]["Properties"]
    query: str = group["ConnectionPoolConfigurationInfo"]["InitQuery"]
    return query


def init_settings() -> dict[str, str]:
    return dict(_SET.findall(init_query()))


@contextmanager
def strict_proxy(database_url: str) -> Iterator[str]:
    """Serve one connection after the other; yield the URL to reach the database by."""
    address = parse_url(database_url, "the test")
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        thread = threading.Thread(
            target=_serve, args=(listener, (address.host, address.port)), name="strict proxy"
        )
        thread.start()
        try:
            port = listener.getsockname()[1]
            yield database_url.replace(f":{address.port}/", f":{port}/")
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(listener: socket.socket, target: tuple[str, int]) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        with client, client.makefile("rb") as read:
            (length,) = struct.unpack("!I", read.read(4))
            login = read.read(length - 4)
            words = login[4:].rstrip(b"\0").decode().split("\0")
            refused = set(words[::2]) - _LOGIN
            if refused:
                client.sendall(_refusal(f"{sorted(refused)} as options are not supported"))
                continue
            with socket.create_connection(target) as server:
                server.sendall(struct.pack("!I", length) + login)
                _pass_on(client, server)


def _pass_on(client: socket.socket, server: socket.socket) -> None:
    while True:
        for end in select.select([client, server], [], [])[0]:
            content = end.recv(65_536)
            if not content:
                return
            (server if end is client else client).sendall(content)


def _refusal(message: str) -> bytes:
    fields = b"".join(
        kind + value.encode() + b"\0"
        for kind, value in [(b"S", "FATAL"), (b"C", "0A000"), (b"M", message)]
    )
    return b"E" + struct.pack("!I", len(fields) + 5) + fields + b"\0"
