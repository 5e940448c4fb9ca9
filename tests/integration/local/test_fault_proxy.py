"""The proxy before database and cache, over real sockets."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

import pytest

from local.fault_proxy import Connection, serve_proxy
from local.faults import FaultMode, Faults


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Broken:
    """An echo server behind the proxy, and the switch that breaks it."""

    port: int
    faults: Faults
    clock: Clock

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Connection]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(1024):
        writer.write(chunk)
    writer.close()


def _with_proxy(
    story: Callable[[Broken], Awaitable[None]], *, latency_seconds: float = 0.0
) -> None:
    async def run() -> None:
        clock = Clock()
        faults = Faults(clock=clock)
        echo = await asyncio.start_server(_echo, "127.0.0.1", 0)
        target = echo.sockets[0].getsockname()[1]
        proxy = await serve_proxy(0, target, faults, "cache", latency_seconds=latency_seconds)
        try:
            broken = Broken(proxy.sockets[0].getsockname()[1], faults, clock)
            await asyncio.wait_for(story(broken), timeout=10)
        finally:
            for server in (proxy, echo):
                server.close()
                server.abort_clients()
                await server.wait_closed()

    asyncio.run(run())


async def _say(connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], text: bytes) -> bytes:
    reader, writer = connection
    writer.write(text)
    return await reader.readexactly(len(text))


def test_it_passes_bytes_both_ways_and_ends_when_the_client_ends() -> None:
    async def story(broken: Broken) -> None:
        async with broken.connect() as connection:
            assert await _say(connection, b"hello") == b"hello"
            assert await _say(connection, b"x" * 300_000) == b"x" * 300_000
            connection[1].write_eof()
            assert await connection[0].read() == b""

    _with_proxy(story)


def test_down_cuts_established_connections_at_once_and_new_ones_too() -> None:
    async def story(broken: Broken) -> None:
        async with broken.connect() as connection:
            await _say(connection, b"hello")
            broken.faults.set("cache", "down", 5)
            assert await connection[0].read() == b""
        async with broken.connect() as late:
            with pytest.raises(ConnectionResetError):
                await late[0].read()

    _with_proxy(story)


def test_it_is_up_again_when_the_time_is_over() -> None:
    async def story(broken: Broken) -> None:
        broken.faults.set("cache", "down", 5)
        broken.clock.now += 5
        async with broken.connect() as connection:
            assert await _say(connection, b"hello") == b"hello"

    _with_proxy(story)


def test_error_resets_in_mid_stream() -> None:
    async def story(broken: Broken) -> None:
        async with broken.connect() as connection:
            await _say(connection, b"hello")
            broken.faults.set("cache", "error", 5)
            with pytest.raises(ConnectionResetError):
                await _say(connection, b"again")

    _with_proxy(story)


def test_slow_delays_each_way() -> None:
    async def story(broken: Broken) -> None:
        async with broken.connect() as connection:
            broken.faults.set("cache", "slow", 5)
            started = time.monotonic()
            assert await _say(connection, b"hello") == b"hello"
            assert time.monotonic() - started >= 0.04

    _with_proxy(story, latency_seconds=0.02)


def test_hanging_holds_back_what_is_sent_until_it_is_over() -> None:
    async def story(broken: Broken) -> None:
        async with broken.connect() as established, AsyncExitStack() as stack:
            await _say(established, b"hello")
            broken.faults.set("cache", "hang", 5)
            # Nobody is refused: whoever connects waits as well.
            late = await stack.enter_async_context(broken.connect())
            for reader, writer in (established, late):
                writer.write(b"again")
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(reader.read(1), timeout=0.1)
            broken.clock.now += 5
            for reader, _ in (established, late):
                assert await reader.readexactly(5) == b"again"

    _with_proxy(story)


def test_hanging_hides_that_the_server_has_gone() -> None:
    async def run() -> None:
        faults = Faults()
        server = await asyncio.start_server(_echo, "127.0.0.1", 0)
        proxy = await serve_proxy(0, server.sockets[0].getsockname()[1], faults, "cache")
        async with Broken(proxy.sockets[0].getsockname()[1], faults, Clock()).connect() as client:
            await _say(client, b"hello")
            faults.set("cache", "hang", 60)
            server.close()
            server.abort_clients()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client[0].read(), timeout=0.1)
            faults.set("cache", "hang", 0)
            assert await asyncio.wait_for(client[0].read(), timeout=5) == b""
        proxy.close()
        proxy.abort_clients()
        await proxy.wait_closed()

    asyncio.run(run())


def test_down_cuts_those_who_hang() -> None:
    async def story(broken: Broken) -> None:
        async with broken.connect() as established, AsyncExitStack() as stack:
            await _say(established, b"hello")
            broken.faults.set("cache", "hang", 5)
            late = await stack.enter_async_context(broken.connect())
            broken.faults.set("cache", "down", 5)
            for reader, _ in (established, late):
                with suppress(ConnectionResetError):
                    assert await reader.read() == b""

    _with_proxy(story)


def test_faults_of_another_target_do_not_matter() -> None:
    async def story(broken: Broken) -> None:
        async with broken.connect() as connection:
            broken.faults.set("database", "down", 5)
            assert await _say(connection, b"hello") == b"hello"

    _with_proxy(story)


def test_a_target_that_does_not_listen_resets_the_client() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]

        async def run() -> None:
            proxy = await serve_proxy(0, port, Faults(), "cache")
            broken = Broken(proxy.sockets[0].getsockname()[1], Faults(), Clock())
            async with broken.connect() as (reader, _):
                with pytest.raises(ConnectionResetError):
                    await reader.read()
            proxy.close()
            await proxy.wait_closed()

        asyncio.run(run())


@pytest.mark.parametrize("mode", ["down", "slow", "error", "hang"])
def test_a_fault_holds_until_its_time_is_over_or_it_is_mended(mode: FaultMode) -> None:
    clock = Clock()
    faults = Faults(clock=clock)
    assert faults.active("s3") is None

    faults.set("s3", mode, 5)
    clock.now += 4.9
    assert faults.active("s3") == mode
    clock.now += 0.1
    assert faults.active("s3") is None

    faults.set("s3", mode, 5)
    faults.set("s3", mode, 0)
    assert faults.active("s3") is None
