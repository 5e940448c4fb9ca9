"""The demo's second client: an office that hears what changes, loses its network, and catches up.

It speaks to the stack through a proxy of its own, which is its network. That this is back, its
system tells it, as a phone's does.
"""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
from rich.table import Table

from fieldgate_client.api import Api
from fieldgate_client.connectivity import Connectivity, Probes
from fieldgate_client.database import Database
from fieldgate_client.errors import ClientError
from fieldgate_client.realtime import Realtime, RealtimeState, Status, Update
from fieldgate_client.tokens import TokenStore
from local.accounts import PASSWORD, PHONES
from local.demo_story import DOWNLOADS, DemoFailed, Story
from local.fault_proxy import serve_proxy
from local.faults import Faults

CHANNEL = "media"
NETWORK = "network"
# Longer than it is ever away: it is put up again by hand.
AWAY_SECONDS = 600
HEARS_SECONDS = 60
LOOK_SECONDS = 0.05


@dataclass
class Office:
    """What the second client heard, and in which state it found what it was told of."""

    story: Story
    api: Api
    network: Faults
    connectivity: Connectivity
    status: Status = field(default_factory=lambda: Status(RealtimeState.CONNECTING))
    live: list[tuple[Update, str]] = field(default_factory=list)
    caught_up: list[tuple[Update, str]] = field(default_factory=list)
    others: list[Update] = field(default_factory=list)

    async def hear(self, update: Update) -> None:
        """Fetch what changed, if it is a media, as an app does: what is told are ids."""
        if update.entity_type != CHANNEL:
            self.others.append(update)
            return
        heard = self.live if self._is_live() else self.caught_up
        answer = await self.api.request("GET", f"/media/{update.entity_id}")
        heard.append((update, answer.fields.text("state")))

    async def notice(self, status: Status) -> None:
        self.status = status

    async def until_live(self) -> None:
        await self._wait(self._is_live, "was not connected")

    async def until_it_heard(self, media_id: str, state: str) -> None:
        """Wait until it was told of a media, while connected, and found it in this state."""
        await self._until_told(media_id, state, self.live, "while connected")

    async def until_it_caught_up(self, media_id: str, state: str) -> None:
        """Wait until it was told of a media that it had missed, and found it in this state."""
        await self._until_told(media_id, state, self.caught_up, "when catching up")

    async def until_told_of(self, entity_type: str, entity_id: str) -> None:
        """Wait until it was told of something else than a media."""
        wanted = entity_type, entity_id
        await self._wait(
            lambda: wanted in {(update.entity_type, update.entity_id) for update in self.others},
            f"was not told of {entity_type} {entity_id}",
        )

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        """Take its network away."""
        self.network.set(NETWORK, "down", AWAY_SECONDS)
        try:
            yield
        finally:
            self.network.set(NETWORK, "down", 0)
            await self.connectivity.network_changed()

    def show(self) -> None:
        table = Table("the office heard", "while connected", "catching up", title="Data changes")
        for action in ("created", "updated"):
            counts = [
                sum(update.action == action for update, _ in heard)
                for heard in (self.live, self.caught_up)
            ]
            table.add_row(action, *map(str, counts))
        self.story.console.print(table)

    async def _until_told(
        self, media_id: str, state: str, heard: list[tuple[Update, str]], how: str
    ) -> None:
        def found() -> dict[str, str]:
            """What it was told last, and the state it then found, for each action."""
            return {update.action: seen for update, seen in heard if update.entity_id == media_id}

        await self._wait(lambda: state in found().values(), f"was not told {how} of {media_id}")
        told = ", ".join(f"{action} ({seen})" for action, seen in found().items())
        self.story.console.print(f"  told {how}: {told}")

    def _is_live(self) -> bool:
        return self.status.state is RealtimeState.LIVE

    async def _wait(self, condition: Callable[[], bool], failure: str) -> None:
        give_up = time.monotonic() + HEARS_SECONDS
        while not condition():
            if time.monotonic() > give_up:
                said = f" ({self.status.state}: {self.status.reason})"
                raise DemoFailed(f"The office {failure} within {HEARS_SECONDS} s{said}.")
            await asyncio.sleep(LOOK_SECONDS)


@asynccontextmanager
async def listening_office(phone: httpx.AsyncClient, story: Story) -> AsyncIterator[Office]:
    """Sign the office in and have it listen to what happens to all media."""
    port = urlsplit(str(phone.base_url)).port
    assert port is not None
    network = Faults()
    proxy = await serve_proxy(0, port, network, NETWORK)
    server = f"http://127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
    home = DOWNLOADS / "office"
    shutil.rmtree(home, ignore_errors=True)
    try:
        with Database(home / "client.db") as database:
            async with (
                Api(server, TokenStore(database)) as api,
                Connectivity(Probes.of(server)) as connectivity,
                AsyncExitStack() as stack,
            ):
                office = Office(story, api, network, connectivity)
                with story.step("An office signs in, and listens to what happens"):
                    try:
                        await api.login(PHONES["admin"], PASSWORD)
                    except ClientError as error:
                        raise DemoFailed(f"The office could not sign in: {error}") from None
                    realtime = Realtime(
                        api,
                        database,
                        channels=[CHANNEL],
                        on_update=office.hear,
                        on_state=office.notice,
                        connectivity=connectivity,
                    )
                    await stack.enter_async_context(realtime)
                    await office.until_live()
                yield office
    finally:
        proxy.close()
        proxy.abort_clients()
