"""Whether a name resolves: lookups raced in parallel, and none left running without a bound.

The system's lookup (getaddrinfo; Dart: InternetAddress.lookup; Kotlin: InetAddress.getByName)
blocks and can't be cancelled: a cancelled caller only stops waiting, while the lookup goes on until
the system gives up, often after 10 to 30 s. Started anew at every check, such lookups pile up. So
there is one at most for each name: whoever asks for the same name meanwhile joins it.
"""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future

type Resolver = Callable[[str], Awaitable[object]]
"""Returns when the name resolves; raises OSError or UnicodeError (not a host's name) if not."""

LOOKUP_SECONDS = 5.0  # ours: how long the system's resolver waits for one server (resolv.conf(5))


class SystemResolver:
    """The system's lookup: a thread for each name, however often it is asked for.

    Daemon threads and not asyncio's: a program that wants to end isn't held up by a lookup.
    """

    def __init__(self, lookup: Callable[[str, None], object] = socket.getaddrinfo) -> None:
        self._lookup = lookup
        self._running: dict[str, Future[None]] = {}

    async def __call__(self, host: str) -> None:
        """Look `host` up, or wait for the lookup of it that runs already."""
        running = self._running.get(host)
        if running is None or running.done():
            running = self._running[host] = Future()
            threading.Thread(
                target=self._run, args=(host, running), name=f"lookup of {host}", daemon=True
            ).start()
        # Shielded: cancelling the one who waits must not cancel it for those who join.
        await asyncio.shield(asyncio.wrap_future(running))

    def _run(self, host: str, result: Future[None]) -> None:
        try:
            self._lookup(host, None)
        except (OSError, UnicodeError) as error:
            result.set_exception(error)
        else:
            result.set_result(None)


async def any_resolves(
    hosts: Iterable[str], resolver: Resolver, seconds: float = LOOKUP_SECONDS
) -> bool:
    """Return whether any name resolves within `seconds`; the first that does ends the race.

    When this returns, raises or is cancelled, every lookup has ended or was cancelled.
    """
    lookups = [asyncio.ensure_future(resolver(host)) for host in hosts]
    try:
        for ended in asyncio.as_completed(lookups, timeout=seconds):
            try:
                await ended
            except (OSError, UnicodeError):  # no such name; or TimeoutError, an OSError: time is up
                continue
            else:
                return True
    finally:
        for lookup in lookups:
            lookup.cancel()
        await asyncio.gather(*lookups, return_exceptions=True)
    return False
