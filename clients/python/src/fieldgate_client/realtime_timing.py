"""Where the realtime client's time comes from, so that a test can say what time it is."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any


def full_jitter(seconds: float) -> float:
    """Return a random time up to this one: phones that lost the same cell don't return together."""
    return random.uniform(0, seconds)  # noqa: S311 nothing secret hangs on it


@dataclass(frozen=True)
class Timing:
    """A monotonic clock in seconds, a way to wait, and what is made of a delay."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    jitter: Callable[[float], float] = full_jitter

    async def within[T](self, seconds: float, work: Awaitable[T]) -> T:
        """Return what comes of the work; raise TimeoutError, and end it, if it takes longer."""
        doing = asyncio.ensure_future(work)
        ringing = asyncio.ensure_future(self.sleep(seconds))
        try:
            await asyncio.wait((doing, ringing), return_when=asyncio.FIRST_COMPLETED)
            if not doing.done():
                raise TimeoutError
            return doing.result()
        finally:
            await end(doing, ringing)


async def end(*tasks: asyncio.Future[Any]) -> None:
    """Cancel those that are not done yet, and wait until all are."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
