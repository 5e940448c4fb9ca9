"""Asynchronous servers in a thread of their own, for code that isn't asynchronous."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any


@contextmanager
def event_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Run an event loop in a thread of its own until the block is left."""
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def run() -> None:
        stopped = asyncio.Event()
        started.set_result((asyncio.get_running_loop(), stopped))
        await stopped.wait()

    thread = threading.Thread(target=lambda: asyncio.run(run()), name="servers")
    thread.start()
    loop, stopped = started.result()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join()


@contextmanager
def entered(loop: asyncio.AbstractEventLoop, serving: Any) -> Iterator[None]:
    """Enter and leave an asynchronous context in another thread's loop."""

    def wait(work: Any) -> None:
        done: Future[None] = asyncio.run_coroutine_threadsafe(work, loop)
        done.result()

    wait(serving.__aenter__())
    try:
        yield
    finally:
        wait(serving.__aexit__(None, None, None))
