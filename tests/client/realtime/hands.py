"""Time that passes when a test says so."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fieldgate_client.realtime_timing import Timing
from tests.client.realtime.hub import until


class Hands:
    """A clock that is moved by hand, and whoever sleeps by it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._sleepers: list[tuple[float, float, asyncio.Future[None]]] = []

    @property
    def timing(self) -> Timing:
        """All of it, and delays as they are."""
        return Timing(lambda: self.now, self.sleep, lambda seconds: seconds)

    @property
    def sleeps(self) -> list[float]:
        """For how long those wanted to sleep that do."""
        return [seconds for _, seconds, ringing in self._sleepers if not ringing.done()]

    async def sleep(self, seconds: float) -> None:
        ringing = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now + seconds, seconds, ringing))
        self._sleepers = [each for each in self._sleepers if not each[2].done()]
        await ringing

    def pass_by(self, seconds: float) -> None:
        """Let time pass, and wake whose sleep is over."""
        self.now += seconds
        for ends, _, ringing in self._sleepers:
            if ends <= self.now and not ringing.done():
                ringing.set_result(None)

    async def sleep_out(self, seconds: float) -> None:
        """Have somebody sleep for so long, to the end."""
        await until(lambda: seconds in self.sleeps)
        self.pass_by(seconds)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Have time run while something is done in the block: a second at a time."""

        async def run() -> None:
            while True:
                self.pass_by(1)
                await asyncio.sleep(0.001)

        task = asyncio.create_task(run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait((task,))
