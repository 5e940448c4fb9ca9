"""The front door's WebSocket, between a client and a cloud over real sockets."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web
from multidict import CIMultiDict
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from local.websocket_door import Limits, WebSocketDoor

PATH = "/hubs/permissions"
STAGE = "/_aws/execute-api/abc123/live"
KB = 1024


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


async def sent_until_held_back(send: Callable[[str], Awaitable[None]], text: str) -> int:
    """Send again and again until that takes long; returns how often it was done."""
    sent = 0
    with suppress(TimeoutError):
        while True:
            async with asyncio.timeout(0.3):
                await send(text)
            sent += 1
    return sent


def test_it_passes_messages_both_ways_with_headers_and_query() -> None:
    async def story(served: Served) -> None:
        headers = {"Authorization": "Bearer a.b.c", "Origin": "https://app.example"}
        async with served.connect("?access_token=a%2Bb&id=1", additional_headers=headers) as client:
            for text in ("hello", '{"type":6}\x1e', "é" * 1000, ""):
                await client.send(text)
                assert await client.recv() == text
        assert served.cloud.requests == [(STAGE, "access_token=a%2Bb&id=1")]
        given = served.cloud.headers
        assert (given["Authorization"], given["Origin"]) == ("Bearer a.b.c", "https://app.example")
        assert given["User-Agent"].startswith("Python/")
        assert "Sec-WebSocket-Extensions" not in given

    run(story)


@pytest.mark.parametrize("text", ["x" * 32 * KB, "é" * 16 * KB])
def test_a_message_may_have_32_kb(text: str) -> None:
    async def story(served: Served) -> None:
        async with served.connect() as client:
            await client.send(text)
            assert await client.recv() == text

    run(story)


@pytest.mark.parametrize("text", ["x" * (32 * KB + 1), "é" * 16 * KB + "x", "x" * KB * KB])
def test_a_larger_one_ends_the_connection_and_never_arrives(text: str) -> None:
    async def story(served: Served) -> None:
        async with served.connect() as client:
            await client.send(text)
            assert (await closed(client))[0] == 1009
        await until(lambda: served.cloud.ended_with == [1009])
        assert served.cloud.heard == []

    run(story)


def test_a_function_may_send_128_kb() -> None:
    async def story(served: Served) -> None:
        async with served.connect(max_size=None) as client:
            await until(lambda: bool(served.cloud.sockets))
            await served.cloud.sockets[0].send_str("x" * 128 * KB)
            assert len(await client.recv()) == 128 * KB
            await served.cloud.sockets[0].send_str("x" * (128 * KB + 1))
            assert (await closed(client))[0] == 1009

    run(story)


def test_binary_frames_end_the_connection() -> None:
    async def story(served: Served) -> None:
        async with served.connect() as client:
            await client.send(b'{"type":6}\x1e')
            assert (await closed(client))[0] == 1003

    run(story)


@pytest.mark.parametrize("status", [401, 403, 500])
def test_a_refused_handshake_is_refused_with_the_same_status(status: int) -> None:
    async def story(served: Served) -> None:
        served.cloud.refuse_with = status
        with pytest.raises(InvalidStatus) as refused:
            await served.connect()
        assert refused.value.response.status_code == status

    run(story)


def test_a_cloud_that_does_not_answer_is_unavailable() -> None:
    async def story(served: Served) -> None:
        served.cloud.answering.clear()
        with pytest.raises(InvalidStatus) as refused:
            await served.connect()
        assert refused.value.response.status_code == 503
        served.cloud.answering.set()

    run(story, handshake_seconds=0.1)


def test_a_plain_request_is_told_to_upgrade() -> None:
    async def story(served: Served) -> None:
        async with aiohttp.ClientSession() as session:
            for headers in ({}, {"Upgrade": "websocket", "Connection": "Upgrade"}):
                async with session.get(served.url, headers=headers) as answer:
                    assert (answer.status, answer.headers["Upgrade"]) == (426, "websocket")
                    assert (await answer.json())["message"] == "Upgrade Required"
        assert served.cloud.requests == []

    run(story)


def test_who_sends_too_many_messages_is_put_out() -> None:
    async def story(served: Served) -> None:
        async with served.connect() as client:
            for _ in range(101):
                await client.send("again")
            assert await closed(client) == (1008, "Too many requests")
        await until(lambda: len(served.cloud.ended_with) == 1)
        assert len(served.cloud.heard) <= 100

    run(story, messages=100)


def test_pings_are_answered_by_the_door_itself() -> None:
    async def story(served: Served) -> None:
        served.cloud.reading.clear()
        async with served.connect() as client:
            await (await client.ping("are you there"))
        assert served.cloud.heard == []
        served.cloud.reading.set()

    run(story)


def test_the_client_says_why_it_goes() -> None:
    async def story(served: Served) -> None:
        async with served.connect() as client:
            await client.send("hello")
            await client.recv()
            await client.close(4321, "enough")
            assert client.close_code == 4321
        await until(lambda: served.cloud.ended_with == [4321])

    run(story)


def test_the_cloud_says_why_it_ends_a_connection() -> None:
    async def story(served: Served) -> None:
        async with served.connect() as client:
            await until(lambda: bool(served.cloud.sockets))
            await served.cloud.sockets[0].close(code=1008, message=b"too many requests")
            assert await closed(client) == (1008, "too many requests")

    run(story)


def test_a_close_frame_without_a_code_has_none_on_the_other_side_that_must_not_be() -> None:
    async def story(served: Served) -> None:
        async with served.connect() as client:
            await client.send("hello")
            await client.recv()
            client.transport.write(b"\x88\x80\x00\x00\x00\x00")  # a close frame with nothing in it
            await until(lambda: served.cloud.ended_with == [1000])

    run(story)


def test_a_client_that_vanishes_is_gone_for_the_cloud_too() -> None:
    async def story(served: Served) -> None:
        async with served.connect() as client:
            await client.send("hello")
            await client.recv()
            client.transport.abort()
            await until(lambda: served.cloud.ended_with == [1001])

    run(story)


def test_a_client_that_vanishes_while_it_is_let_in_is_gone_too() -> None:
    async def story(served: Served) -> None:
        served.cloud.answering.clear()
        host, _, port = served.url.removeprefix("http://").removesuffix(PATH).partition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        lines = [f"GET {PATH} HTTP/1.1", f"Host: {host}", "Upgrade: websocket"]
        lines += ["Connection: Upgrade", "Sec-WebSocket-Version: 13"]
        lines += ["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "\r\n"]
        writer.write("\r\n".join(lines).encode())
        await writer.drain()
        writer.transport.abort()
        served.cloud.answering.set()
        await until(lambda: len(served.cloud.ended_with) == 1)

    run(story)


def test_a_cloud_that_vanishes_ends_the_connection() -> None:
    async def story(served: Served) -> None:
        async with served.connect() as client:
            await until(lambda: bool(served.cloud.sockets))
            transport = served.cloud.sockets[0]._req.transport  # type: ignore[union-attr]
            assert transport is not None
            transport.abort()
            assert (await closed(client))[0] == 1001

    run(story)


def test_who_is_silent_for_too_long_is_put_out_pings_or_not() -> None:
    async def story(served: Served) -> None:
        async with served.connect(ping_interval=0.05) as client:
            began = asyncio.get_running_loop().time()
            assert await closed(client) == (1001, "Going away")
            assert asyncio.get_running_loop().time() - began > 0.25
        await until(lambda: served.cloud.ended_with == [1001])

    run(story, idle_seconds=0.3)


def test_messages_keep_a_connection_but_not_for_ever() -> None:
    async def story(served: Served) -> None:
        async with served.connect() as client:
            began = asyncio.get_running_loop().time()
            with suppress(ConnectionClosed):
                while True:
                    await client.send("still here")
                    await client.recv()
                    await asyncio.sleep(0.02)
            assert client.close_code == 1001
            assert 0.5 < asyncio.get_running_loop().time() - began < 5

    run(story, idle_seconds=0.25, connection_seconds=0.6)


def test_many_are_served_at_once() -> None:
    async def story(served: Served) -> None:
        clients = await asyncio.gather(*(served.connect() for _ in range(250)))
        for n, client in enumerate(clients):
            await client.send(f"I am {n}")
        answers = await asyncio.gather(*(client.recv() for client in clients))
        assert answers == [f"I am {n}" for n in range(250)]
        await asyncio.gather(*(client.close() for client in clients))

    run(story)


def test_stopping_closes_them_all() -> None:
    async def story(served: Served) -> None:
        clients = await asyncio.gather(*(served.connect() for _ in range(20)))
        clients[0].transport.pause_reading()  # it won't say goodbye
        began = asyncio.get_running_loop().time()
        await served.runner.cleanup()
        assert asyncio.get_running_loop().time() - began < 2
        assert [await closed(client) for client in clients[1:]] == [(1001, "Going away")] * 19
        clients[0].transport.abort()

    run(story, close_seconds=0.3)


def test_who_does_not_read_holds_back_the_cloud() -> None:
    async def story(served: Served) -> None:
        async with served.connect(max_queue=1, close_timeout=0.1) as client:
            await until(lambda: bool(served.cloud.sockets))
            sent = await sent_until_held_back(served.cloud.sockets[0].send_str, "x" * 100 * KB)
            assert 0 < sent < 200
            for _ in range(sent):
                assert len(await client.recv()) == 100 * KB

    run(story)


def test_a_cloud_that_does_not_read_holds_back_the_client() -> None:
    async def story(served: Served) -> None:
        served.cloud.reading.clear()
        async with served.connect(close_timeout=0.1) as client:
            sent = await sent_until_held_back(client.send, "x" * 30 * KB)
            assert 0 < sent < 1000
            served.cloud.reading.set()
            assert len(await client.recv()) == 30 * KB
            client.transport.abort()
            await until(lambda: bool(served.cloud.ended_with))

    run(story)
