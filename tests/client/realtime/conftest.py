"""An app that listens to a hub: each on this machine, with a clock moved by hand."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from fieldgate_client.api import Api
from fieldgate_client.database import Database
from fieldgate_client.errors import RealtimeRefused
from fieldgate_client.realtime import PermissionsUpdate, Realtime, RealtimeState, Status, Update
from fieldgate_client.realtime_frames import Position
from fieldgate_client.realtime_position import Bookmark
from fieldgate_client.tokens import TokenStore
from tests.client.fake_api import TOKENS, FakeApi
from tests.client.realtime.hands import Hands
from tests.client.realtime.hub import Hub, hub_running, until

REFETCH = "refetch"


@dataclass
class App:
    """Hears what it is told, and does with each thing what `doing` does."""

    hub: Hub
    home: Path
    hands: Hands = field(default_factory=Hands)
    server: FakeApi = field(default_factory=FakeApi)
    user: str = TOKENS.user_id
    heard: list[str] = field(default_factory=list)  # offsets as text, REFETCH, permissions
    statuses: list[Status] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    updates: list[Update] = field(default_factory=list)
    doing: Callable[[str], Awaitable[object]] | None = None

    @property
    def states(self) -> list[RealtimeState]:
        return [status.state for status in self.statuses]

    @property
    def pauses(self) -> list[float | None]:
        return [each.retry_in for each in self.statuses if each.state is RealtimeState.WAITING]

    @property
    def position(self) -> Position | None:
        """What is on the disk."""
        with Database(self.home / "client.db") as database:
            return Bookmark(database, self.hub.url, self.user).position

    @asynccontextmanager
    async def listening(self, **how: Any) -> AsyncIterator[Realtime]:
        """Run the realtime client of this app, from what is on its disk."""
        with Database(self.home / "client.db") as database:
            tokens = TokenStore(database)
            if tokens.load(self.hub.url) is None:
                self.sign_in(database)
            async with AsyncExitStack() as stack:
                api = Api(self.hub.url, tokens, transport=self.server, sleep=self.hands.sleep)
                await stack.enter_async_context(api)
                callbacks: dict[str, Any] = {
                    "on_update": self._update,
                    "on_refetch": self._refetch,
                    "on_permissions": self._permissions,
                    "on_state": self._state,
                    "on_refused": self._refused,
                    "timing": self.hands.timing,
                }
                realtime = Realtime(api, database, **callbacks | how)
                yield await stack.enter_async_context(realtime)

    @asynccontextmanager
    async def live(self, **how: Any) -> AsyncIterator[Realtime]:
        """So too, from when it is live."""
        before = self.states.count(RealtimeState.LIVE)
        async with self.listening(**how) as realtime:
            await until(lambda: self.states.count(RealtimeState.LIVE) > before)
            yield realtime

    async def is_live(self, times: int) -> None:
        await until(lambda: self.states.count(RealtimeState.LIVE) >= times)

    async def has_heard(self, *what: str | int) -> None:
        """Return when it has heard these in all, and nothing else."""
        wanted = [str(each) for each in what]
        await until(lambda: len(self.heard) >= len(wanted))
        assert self.heard == wanted

    def sign_in(self, database: Database) -> None:
        TokenStore(database).save(self.hub.url, replace(TOKENS, user_id=self.user))

    async def _do(self, what: str) -> None:
        self.heard.append(what)
        if self.doing is not None:
            await self.doing(what)

    async def _update(self, update: Update) -> None:
        self.updates.append(update)
        await self._do(str(update.position.offset))

    async def _refetch(self) -> None:
        await self._do(REFETCH)

    async def _permissions(self, update: PermissionsUpdate) -> None:
        await self._do(" ".join([update.user_id, *update.permissions]))

    async def _state(self, status: Status) -> None:
        self.statuses.append(status)

    async def _refused(self, channel: str, error: RealtimeRefused) -> None:
        self.refused.append((channel, error.code))


type Story = Callable[[App], Awaitable[None]]
type Tell = Callable[[Story], None]


@pytest.fixture
def tell(tmp_path: Path) -> Tell:
    """Run a story with an app and a hub; nothing may be left running."""

    def run(story: Story) -> None:
        async def told() -> None:
            async with asyncio.timeout(20), hub_running() as hub:
                await story(App(hub, tmp_path))
            await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})

        asyncio.run(told())

    return run
