"""What there is around a phone: interfaces, names, answers to a probe, and a timer."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from fieldgate_client.captive_portal import Reach
from fieldgate_client.connectivity import (
    Connectivity,
    Probes,
    State,
)
from fieldgate_client.network import NetworkType
from tests.client.portal import Answers

URL = "http://api.test/generate_204"
ONLINE = State(Reach.ONLINE, NetworkType.WIFI)
CAPTIVE = State(Reach.CAPTIVE, NetworkType.WIFI)
OFFLINE = State(Reach.OFFLINE, NetworkType.WIFI)


class Timer:
    """A sleep that ends when the test says so."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.cancelled = 0
        self._began = asyncio.Event()
        self._ring = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self._began.set()
        try:
            await self._ring.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        self._ring.clear()

    async def began(self) -> None:
        """Return when somebody waits, or has waited since this was asked before."""
        await self._began.wait()
        self._began.clear()

    def ring(self) -> None:
        self._ring.set()


@dataclass
class World:
    """A network whose every part a test can change, and the connectivity found in it."""

    network: NetworkType = NetworkType.WIFI
    answers: Answers = field(default_factory=lambda: Answers({URL: 204}))
    lookups: list[str] = field(default_factory=list)
    cancelled: int = 0
    timer: Timer = field(default_factory=Timer)
    looked_up: asyncio.Event = field(default_factory=asyncio.Event)
    names_answer: asyncio.Event = field(default_factory=asyncio.Event)
    names_fail: bool = False

    def __post_init__(self) -> None:
        self.names_answer.set()
        self.connectivity = Connectivity(
            Probes(("api.test",), (URL,)),
            network=lambda: self.network,
            resolver=self.resolve,
            transport=self.answers,
            sleep=self.timer,
        )
        self.told: list[State] = []
        self.connectivity.listen(self.told.append)

    async def resolve(self, host: str) -> None:
        self.lookups.append(host)
        self.looked_up.set()
        try:
            await self.names_answer.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.names_fail:
            raise socket.gaierror("no such name")

    def probe_answers(self, status: int) -> None:
        self.answers.answers[URL] = status


def in_a_world(story: Callable[[World], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(10):
            await story(World())
        assert asyncio.all_tasks() == {asyncio.current_task()}, "something was left running"

    asyncio.run(run())
