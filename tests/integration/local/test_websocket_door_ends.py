"""The front door's WebSocket: what ends a connection, and what is told of it."""

import asyncio
from contextlib import suppress

import pytest
from websockets.exceptions import ConnectionClosed

from tests.support.websocket_door import PATH, Served, closed, run, until

KB = 1024


@pytest.mark.parametrize("text", ["x" * (32 * KB + 1), "é" * 16 * KB + "x", "x" * KB * KB])
def test_a_larger_one_ends_the_connection_and_never_arrives(text: str) -> None:
    async def story(served: Served) -> None:
        async with served.connect() as client:
            await client.send(text)
            assert (await closed(client))[0] == 1009
        await until(lambda: served.cloud.ended_with == [1009])
        assert served.cloud.heard == []

    run(story)


def test_binary_frames_end_the_connection() -> None:
    async def story(served: Served) -> None:
        async with served.connect() as client:
            await client.send(b'{"type":6}\x1e')
            assert (await closed(client))[0] == 1003

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
