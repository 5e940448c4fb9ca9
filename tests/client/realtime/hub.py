"""A server that tells of changes, on loopback: the contract's plain JSON, and faults as told."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import websockets
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

EPOCH = "6ff2c9f2-0000-4000-8000-000000000001"
TIME = "2026-01-10T10:00:00.000Z"

type Message = dict[str, Any]


@dataclass
class ServerEnd:
    """A connection, as the server sees it."""

    socket: ServerConnection
    token: str
    asked: list[Message] = field(default_factory=list)
    channels: set[str] = field(default_factory=set)
    ready: bool = False

    @property
    def actions(self) -> list[str]:
        return [message["action"] for message in self.asked]

    async def say(self, frame: str | bytes | Message) -> None:
        with suppress(websockets.ConnectionClosed):
            await self.socket.send(json.dumps(frame) if isinstance(frame, dict) else frame)

    async def cut(self) -> None:
        self.socket.transport.abort()
        await self.socket.wait_closed()


@dataclass
class Hub:
    """Tells whoever is connected what happens, and answers what they ask.

    Channels that begin with `own` are everybody's, without a subscription. `answers` are given
    instead of its own, by action, one by one; None is no answer.
    """

    epoch: str = EPOCH
    page: int = 100
    trimmed: int = 0  # up to here it has forgotten
    head: int = 0
    tokens: set[str] = field(default_factory=lambda: {"access-1"})
    handshakes: list[int] = field(default_factory=list)  # statuses to refuse the next ones with
    forbidden: set[str] = field(default_factory=set)
    answers: dict[str, list[Callable[[ServerEnd, Message], Message | str | None]]] = field(
        default_factory=dict
    )
    shown: list[str] = field(default_factory=list)  # every token, of every handshake
    lines: list[ServerEnd] = field(default_factory=list)
    silent: bool = False
    port: int = 0
    _stream: list[Message] = field(default_factory=list)
    _server: Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def line(self) -> ServerEnd:
        """The connection that was made last."""
        return self.lines[-1]

    async def start(self) -> None:
        self._server = await serve(
            self._converse,
            "127.0.0.1",
            self.port,
            process_request=self._let_in,
            compression=None,
            ping_interval=None,
            close_timeout=1,
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            for line in self.lines:
                line.socket.transport.abort()
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    def happened(self, channel: str = "own:1", action: str = "updated", **more: Any) -> Message:
        """Note that something happened, and tell nobody."""
        self.head += 1
        entity_type, _, entity_id = channel.partition(":")
        data = {"entityType": entity_type, "entityId": entity_id, "action": action}
        message = {
            "type": "update",
            "channel": channel,
            "event": action,
            "data": data,
            "timestamp": TIME,
            "epoch": self.epoch,
            "offset": self.head,
        } | more
        self._stream.append(message)
        return message

    async def happens(self, channel: str = "own:1", action: str = "updated", **more: Any) -> None:
        """Note that something happens, and tell whoever is ready and follows it."""
        message = self.happened(channel, action, **more)
        for line in self.lines:
            if line.ready and self._concerns(line, message):
                await line.say(message)

    def all_but(self, channel: str) -> list[Message]:
        return [message for message in self._stream if message["channel"] != channel]

    def missed(self, line: ServerEnd, after: int) -> list[Message]:
        return [
            message
            for message in self._stream
            if message["epoch"] == self.epoch
            and message["offset"] > after
            and self._concerns(line, message)
        ]

    def resumed(self, line: ServerEnd, asked: Message) -> Message:
        after = asked["offset"]
        recovered = asked.get("epoch") == self.epoch and self.trimmed <= after <= self.head
        found = self.missed(line, after) if recovered else []
        page, more = found[: self.page], len(found) > self.page
        return {
            "type": "resumed",
            "epoch": self.epoch,
            "offset": page[-1]["offset"] if more else self.head,
            "recovered": recovered,
            "more": more,
            "events": page,
        }

    def resumed_from_the_start(self, line: ServerEnd, asked: Message) -> Message:
        return self.resumed(line, {"offset": 0})

    def _let_in(self, socket: ServerConnection, request: Request) -> Response | None:
        if request.path == "/generate_204":
            return socket.respond(204, "")
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        self.shown.append(token)
        if request.path != "/hubs/permissions":
            return socket.respond(404, "")
        if self.handshakes:
            return socket.respond(self.handshakes.pop(0), "")
        return None if token in self.tokens else socket.respond(403, "")

    async def _converse(self, socket: ServerConnection) -> None:
        line = ServerEnd(socket, self.shown[-1])
        self.lines.append(line)
        with suppress(websockets.ConnectionClosed):
            async for frame in socket:
                asked = json.loads(frame)
                line.asked.append(asked)
                if self.silent:
                    continue
                answer = self._answer(line, asked)
                if isinstance(answer, dict) and "id" in asked:
                    answer |= {"id": asked["id"]}
                if answer is not None:
                    await line.say(answer)

    def _answer(self, line: ServerEnd, asked: Message) -> Message | str | None:
        action = asked["action"]
        line.ready |= action != "ping"
        if self.answers.get(action):
            return self.answers[action].pop(0)(line, asked)
        if action == "ping":
            return {"type": "pong"}
        if action == "resume":
            return self.resumed(line, asked)
        named = set(asked["channels"])
        if action == "unsubscribe":
            line.channels -= named
            return {"type": "unsubscribed", "channels": sorted(line.channels)}
        assert action == "subscribe"
        if not_theirs := self.forbidden & named:
            return refusal("FORBIDDEN", f"{min(not_theirs)} is not for you.")
        line.channels |= named
        return {"type": "subscribed", "channels": sorted(line.channels)}

    def _concerns(self, line: ServerEnd, message: Message) -> bool:
        channel = message["channel"]
        return channel.startswith("own") or channel in line.channels


def refusal(code: str, message: str = "No.") -> Message:
    return {"type": "error", "code": code, "message": message}


@asynccontextmanager
async def hub_running() -> AsyncIterator[Hub]:
    hub = Hub()
    await hub.start()
    try:
        yield hub
    finally:
        await hub.stop()


@contextmanager
def hub_in_a_thread() -> Iterator[Hub]:
    """Run a hub for who has an event loop of their own."""
    started: Future[tuple[Hub, Callable[[], object]]] = Future()

    async def serve_until_stopped() -> None:
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        async with hub_running() as hub:
            started.set_result((hub, partial(loop.call_soon_threadsafe, stopped.set)))
            await stopped.wait()

    with ThreadPoolExecutor(1) as threads:
        served = threads.submit(asyncio.run, serve_until_stopped())
        hub, stop = started.result(10)
        try:
            yield hub
        finally:
            stop()
            served.result(10)


async def until(condition: Callable[[], object]) -> None:
    """Return as soon as something is so; sockets take their turns meanwhile."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 conditions of all kinds, told by nobody
            await asyncio.sleep(0.001)
