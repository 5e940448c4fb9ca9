"""An aiohttp application served on loopback, for a test or a benchmark."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web


@asynccontextmanager
async def listening(
    application: web.Application, *, auto_decompress: bool = True, backlog: int = 128
) -> AsyncIterator[str]:
    """Serve until the block is left; yields the address.

    `auto_decompress` opens bodies that came compressed; `backlog` is how many may wait to connect.
    """
    runner = web.AppRunner(
        application, access_log=None, shutdown_timeout=0, auto_decompress=auto_decompress
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=backlog).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
