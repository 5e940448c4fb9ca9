"""Whether the network is there: offline, behind a captive portal, or online; told as it changes.

A check asks, and stops at the first clear answer:

1. Is an interface up? None: offline.
2. Does a name resolve? None: offline. That one does proves nothing: the answer may come from a
   cache, or from a portal that resolves every name to itself.
3. Does a probe get through, or to a captive portal? See `captive_portal`.

Only one check runs at a time. While not online it is repeated every 60 seconds.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx

from fieldgate_client.addresses import is_loopback
from fieldgate_client.captive_portal import Reach, probe
from fieldgate_client.network import NetworkType, network_type
from fieldgate_client.resolver import Resolver, SystemResolver, any_resolves

log = logging.getLogger(__name__)

FALLBACK_HOSTS = ("google.com", "cloudflare.com")  # whose names resolve wherever any do
FALLBACK_PROBES = (  # answer 204 and nothing else
    "http://connectivitycheck.gstatic.com/generate_204",
    "http://clients3.google.com/generate_204",
)
OWN_PROBE = "/generate_204"  # the API's contract, "Health and connectivity"
RECHECK_SECONDS = 60.0  # what the system tells of in between is looked at at once


@dataclass(frozen=True)
class State:
    """What the last check found."""

    reach: Reach
    network: NetworkType


# Until a check has said otherwise nothing is sent.
UNKNOWN = State(Reach.OFFLINE, NetworkType.NONE)


@dataclass(frozen=True)
class Probes:
    """Whom a check asks: names to resolve, all at once, and URLs to probe, one after the other."""

    hosts: Sequence[str]
    urls: Sequence[str]

    @classmethod
    def of(cls, server: str) -> Self:
        """Return those for the server at this URL: its own first, then the public ones.

        A server on this very machine is reached without any network, so nobody else is asked.
        """
        host = urlsplit(server).hostname or ""
        own = f"{server.rstrip('/')}{OWN_PROBE}"
        if is_loopback(host):
            return cls((host,), (own,))
        return cls((host, *FALLBACK_HOSTS), (own, *FALLBACK_PROBES))


def network_towards(server: str) -> NetworkType:
    """Return the network that leads to the server at this URL; this very machine is always near."""
    return NetworkType.WIFI if is_loopback(urlsplit(server).hostname or "") else network_type()


class Connectivity:
    """The state of the network, checked when asked, and every 60 s while it is not online.

    `async with` runs the repeated checks, the first of them at once.
    """

    def __init__(
        self,
        probes: Probes,
        *,
        network: Callable[[], NetworkType] = network_type,
        resolver: Resolver | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.state = UNKNOWN
        self._probes = probes
        self._network = network
        self._resolver = resolver or SystemResolver()
        self._transport = transport
        self._sleep = sleep
        self._listeners: dict[object, Callable[[State], None]] = {}
        self._online = asyncio.Event()
        self._check: asyncio.Task[State] | None = None
        self._rechecks: asyncio.Task[None] | None = None
        self._watching = False

    async def __aenter__(self) -> Self:
        self._watching = True
        self._rechecks = asyncio.create_task(self._recheck(first_pause=0))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._watching = False
        for task in (self._rechecks, self._check):
            if task is not None:
                await _cancel(task)

    def listen(self, callback: Callable[[State], None]) -> Callable[[], None]:
        """Have `callback` called at each change from now on; returns what ends that."""
        subscription = object()
        self._listeners[subscription] = callback

        def unsubscribe() -> None:
            self._listeners.pop(subscription, None)

        return unsubscribe

    async def wait_online(self) -> None:
        """Return as soon as a check found the network."""
        await self._online.wait()

    async def check(self) -> State:
        """Check now and return the state; while a check runs, wait for its result instead."""
        while True:
            if self._check is None or self._check.done():
                self._check = asyncio.create_task(self._find_out())
            running = self._check
            try:
                # Shielded: others may wait for the same check.
                return await asyncio.shield(running)
            except asyncio.CancelledError:
                caller = asyncio.current_task()
                if self._check is running or (caller is not None and caller.cancelling()):
                    raise  # it was not replaced by another: the caller is to end

    async def network_changed(self) -> State:
        """Check anew, since the system said that the network is another.

        What a check that runs would find is about the old network: it is cancelled with all its
        lookups, and who waits for it gets the new one's result.
        """
        old, self._check = self._check, asyncio.create_task(self._find_out(after=self._check))
        if old is not None:
            old.cancel()
        return await self.check()

    async def _find_out(self, after: "asyncio.Task[State] | None" = None) -> State:
        if after is not None:
            await asyncio.wait((after,))  # so that two never overlap
        network = self._network()
        found = State(await self._reach(network), network)
        self._set(found)
        return found

    async def _reach(self, network: NetworkType) -> Reach:
        if network is NetworkType.NONE:
            return Reach.OFFLINE
        if not await any_resolves(self._probes.hosts, self._resolver):
            return Reach.OFFLINE
        return await probe(self._probes.urls, self._transport)

    def _set(self, found: State) -> None:
        before, self.state = self.state, found
        if found.reach is Reach.ONLINE:
            self._online.set()
            if self._rechecks is not None:
                self._rechecks.cancel()
                self._rechecks = None
        else:
            self._online.clear()
            if self._watching and self._rechecks is None:
                self._rechecks = asyncio.create_task(self._recheck(first_pause=RECHECK_SECONDS))
        if found != before:
            for listener in tuple(self._listeners.values()):
                try:
                    listener(found)
                except Exception:  # whatever it is: the other listeners are to be told
                    log.exception("A listener of the network's state failed")

    async def _recheck(self, first_pause: float) -> None:
        """Check again and again, until a check that finds the network ends this (see `_set`)."""
        pause = first_pause
        while True:
            if pause:
                await self._sleep(pause)
            await self.check()
            pause = RECHECK_SECONDS


async def _cancel(task: asyncio.Task[object]) -> None:
    task.cancel()
    await asyncio.wait((task,))
