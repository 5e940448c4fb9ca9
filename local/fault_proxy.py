"""A TCP proxy before a server of the stack (database, cache) that can be broken on purpose."""

import asyncio
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass

from local.faults import FaultMode, Faults

CHUNK_BYTES = 64 * 1024
LATENCY_SECONDS = 1.0

type Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def serve_proxy(
    listen_port: int,
    target_port: int,
    faults: Faults,
    target_name: str,
    *,
    latency_seconds: float = LATENCY_SECONDS,
) -> asyncio.Server:
    """Pass connections to 127.0.0.1:`listen_port` (0: any free one) on to `target_port`.

    While `target_name` is `down`, connections are cut, established ones at once; while `slow`,
    everything takes `latency_seconds` longer each way; while `error`, a connection is reset when
    it is next used; while `hang`, connections are accepted, and nothing passes either way, not
    even that the other side has left.

    Returns:
        The serving server; the caller ends it with `close()` and `abort_clients()`.

    """
    proxy = _Proxy(target_port, faults, target_name, latency_seconds)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", listen_port)

    def cut(mode: FaultMode) -> None:
        if mode == "down":
            server.abort_clients()

    faults.on_set(target_name, cut)
    return server


@dataclass(frozen=True)
class _Proxy:
    target_port: int
    faults: Faults
    target_name: str
    latency_seconds: float

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until either side is done."""
        await self.faults.hold(self.target_name)
        if self.faults.active(self.target_name) == "down":
            _reset(writer)
            return
        try:
            upstream = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            _reset(writer)
            return
        await self._exchange((reader, writer), upstream)

    async def _exchange(self, client: Connection, upstream: Connection) -> None:
        ways = [
            asyncio.create_task(self._pass_on(client[0], upstream[1])),
            asyncio.create_task(self._pass_on(upstream[0], client[1])),
        ]
        try:
            # Neither PostgreSQL nor Valkey half-closes: when one side is done, so is the other.
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            if self.faults.active(self.target_name) == "error":
                _reset(client[1])
            for _, writer in (client, upstream):
                writer.close()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while True:
                chunk = await reader.read(CHUNK_BYTES)
                await self.faults.hold(self.target_name)
                mode = self.faults.active(self.target_name)
                if not chunk or mode == "error":
                    return
                if mode == "slow":
                    await asyncio.sleep(self.latency_seconds)
                writer.write(chunk)
                await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with a TCP reset: what a crashed server's kernel sends, unlike an orderly end."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
