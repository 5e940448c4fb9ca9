"""The front door's WebSocket, between a client and a cloud over real sockets.

async def story(served: Served) -> None:
    async with served.connect() as client:
        await client.send("hello")
        assert await client.recv() == "hello"

run(story, idle_seconds=0.3)
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from aiohttp import web
from multidict import CIMultiDict
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from local.websocket_door import Limits, WebSocketDoor

PATH = "/hubs/permissions"
STAGE = "/_aws/execute-api/abc123/live"


@dataclass
class Cloud:
    """The other side: echoes, and remembers."""

    refuse_with: int | None = None
    answering: asyncio.Event = field(default_factory=asyncio.Event)
    reading: asyncio.Event = field(default_factory=asyncio.Event)
    requests: list[tuple[str, str]] = field(default_factory=list)
    headers: CIMultiDict[str] = field(default_factory=CIMultiDict)
    heard: list[str] = field(default_factory=list)
    ended_with: list[int | None] = field(default_factory=list)
    sockets: list[web.WebSocketResponse] = field(default_factory=list)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        await self.answering.wait()
        self.requests.append((request.path, request.rel_url.raw_query_string))
        self.headers = CIMultiDict(request.headers)
        if self.refuse_with:
            return web.json_response({"message": "no"}, status=self.refuse_with)
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        self.sockets.append(socket)
        await self.reading.wait()
        async for message in socket:
            self.heard.append(message.data)
            with suppress(ConnectionError):  # from who didn't wait for it
                await socket.send_str(message.data)
        self.ended_with.append(socket.close_code)
        return socket


@dataclass
class Served:
    """A door, and the cloud behind it."""

    url: str
    cloud: Cloud
    runner: web.AppRunner

    def connect(self, query: str = "", **options: object) -> connect:
        options = {"proxy": None, "ping_interval": None} | options
        return connect(f"ws{self.url.removeprefix('http')}{query}", **options)  # type: ignore[arg-type]


@asynccontextmanager
async def listening(app: web.Application) -> AsyncIterator[tuple[str, web.AppRunner]]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}", runner
    finally:
        await runner.cleanup()


def run(story: Callable[[Served], Awaitable[None]], **limits: float) -> None:
    """Tell `story` with a door that has these limits; and see that nothing of it goes on."""

    async def serve() -> None:
        cloud = Cloud()
        cloud.answering.set()
        cloud.reading.set()
        behind, before = web.Application(), web.Application()
        behind.router.add_get(STAGE, cloud.serve)
        async with listening(behind) as (cloud_url, _):
            door = WebSocketDoor(cloud_url + STAGE, Limits(**limits))  # type: ignore[arg-type]
            door.add_to(before, PATH)
            async with listening(before) as (url, runner):
                async with asyncio.timeout(20):
                    await story(Served(url + PATH, cloud, runner))
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(serve())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for is in another's hands
        await asyncio.sleep(0.005)


async def closed(client: ClientConnection) -> tuple[int, str]:
    """Wait for the end and return what the close frame said."""
    with suppress(ConnectionClosed):
        while True:
            await client.recv()
    assert client.close_code is not None
    return client.close_code, client.close_reason or ""
