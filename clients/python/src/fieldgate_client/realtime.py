"""What changes, told as it happens, and after a lost connection what was missed.

async with Realtime(api, database, channels=["shipments:123"], on_update=sync) as realtime:
    await realtime.ended()

What is told are ids and what happened to them; what they are now has to be fetched. The position
is kept on the disk when a callback has returned: an app that is killed in the middle hears of it
again, so a callback may be called twice with the last thing it heard, and with nothing else.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable
from types import TracebackType
from typing import NoReturn, Self

from fieldgate_client.api import Api
from fieldgate_client.captive_portal import Reach
from fieldgate_client.connectivity import Connectivity, State
from fieldgate_client.database import Database
from fieldgate_client.errors import (
    ApiError,
    ClientError,
    NetworkError,
    RealtimeEnded,
    RealtimeRefused,
    SignedOut,
    is_passing,
)
from fieldgate_client.policy import MAX_RETRY_AFTER_SECONDS, Backoff
from fieldgate_client.realtime_delivery import App, Delivery, RealtimeState, Status, nothing
from fieldgate_client.realtime_frames import PermissionsUpdate, Update
from fieldgate_client.realtime_handshake import TokenRefused, open_socket
from fieldgate_client.realtime_position import Bookmark
from fieldgate_client.realtime_session import Closed, Session
from fieldgate_client.realtime_timing import Timing, end

__all__ = ["RECONNECT", "PermissionsUpdate", "Realtime", "RealtimeState", "Status", "Update"]

log = logging.getLogger(__name__)

RECONNECT = Backoff()  # after 1, 2, 4, 8, 16, then 30 s, or a random part of that
# A connection that was good for so long was a good one: the delays begin anew.
STEADY_SECONDS = 30.0
TOKEN_EXPIRED = "token_expired"  # noqa: S105 why the server closes, docs/realtime.md


class Realtime:
    """A connection to the server of `api` that is there whenever it can be, while `async with` is.

    Args:
        api: whose tokens it shows.
        database: where it keeps the position. One Realtime a database: two would hear half each
            after a restart.
        channels: what to follow besides what is the user's own.
        on_update: something changed.
        on_refetch: what changed isn't known: fetch anew what is shown. The first time, and after
            more time or more changes than the server remembers.
        on_permissions: the user's permissions are others.
        on_state: the connection is in another state.
        on_refused: a channel was refused, and is not asked for again unless `subscribe` does.
        connectivity: whom to ask before trying; None: it is tried by the clock alone.
        timing: where time comes from.

    Callbacks are awaited one at a time, so a slow one holds up the next, but never the connection.
    One of the first three that raises has not dealt with what it was told: the connection is closed
    and the same is told again on the next, after the pause that failed connections have.

    """

    def __init__(  # noqa: PLR0913 what an app may want to hear of
        self,
        api: Api,
        database: Database,
        *,
        channels: Iterable[str] = (),
        on_update: Callable[[Update], Awaitable[object]] = nothing,
        on_refetch: Callable[[], Awaitable[object]] = nothing,
        on_permissions: Callable[[PermissionsUpdate], Awaitable[object]] = nothing,
        on_state: Callable[[Status], Awaitable[object]] = nothing,
        on_refused: Callable[[str, RealtimeRefused], Awaitable[object]] = nothing,
        connectivity: Connectivity | None = None,
        timing: Timing | None = None,
    ) -> None:
        self._api = api
        self._database = database
        self._channels = set(channels)
        self._app = App(on_update, on_refetch, on_permissions, on_state, on_refused)
        self._connectivity = connectivity
        self._timing = timing or Timing()
        self._session: Session | None = None
        self._bookmark: Bookmark | None = None
        self._expired: str | None = None  # a token that the server has said the end of
        self._failures = 0  # in a row
        self._came_online = asyncio.Event()
        self._running: asyncio.Task[NoReturn] | None = None

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._running is not None
        self._running.cancel()
        await asyncio.wait((self._running,))
        if not self._running.cancelled():
            log.info("It had ended before: %s", self._running.exception())

    @property
    def channels(self) -> frozenset[str]:
        """What is followed, now or as soon as there is a connection."""
        return frozenset(self._channels)

    async def ended(self) -> None:
        """Wait until it ends by itself, and raise why: SignedOut, or RealtimeEnded."""
        assert self._running is not None
        await asyncio.wait((self._running,))
        if not self._running.cancelled():
            self._running.result()

    async def subscribe(self, *channels: str) -> None:
        """Follow channels, on this connection and all that come after it.

        Returns when the server has taken them; without a connection at once, and a later refusal
        is told by `on_refused`. Raises RealtimeRefused, and then nothing has changed.
        """
        new = set(channels) - self._channels
        self._channels |= new
        try:
            if self._session is not None and channels:
                await self._session.follow(channels)
        except RealtimeRefused:
            self._channels -= new
            raise
        except ClientError:
            pass  # this connection is over; the next one begins with all channels

    async def unsubscribe(self, *channels: str) -> None:
        """Follow channels no more. What came before may be told after it.

        Raises RealtimeRefused, and then they are followed until the connection ends.
        """
        self._channels -= set(channels)
        try:
            if self._session is not None and channels:
                await self._session.leave(channels)
        except RealtimeRefused:
            raise
        except ClientError:
            pass  # so too

    async def _run(self) -> NoReturn:
        stop = self._connectivity.listen(self._network_is) if self._connectivity else None
        try:
            while True:
                await self._network()
                await self._pause(await self._broken())
        except SignedOut as error:
            await self._app.tell(Status(RealtimeState.SIGNED_OUT, str(error)))
            raise
        except RealtimeEnded as error:
            await self._app.tell(Status(RealtimeState.ENDED, str(error)))
            raise
        finally:
            if stop is not None:
                stop()

    async def _broken(self) -> Exception:
        """Connect, and return why it ended; raises what ends it for good."""
        await self._app.tell(Status(RealtimeState.CONNECTING))
        try:
            session = await self._open()
            try:
                self._session = session
                await session.run(self._live(session))
            except Closed as error:
                if error.reason == TOKEN_EXPIRED:
                    self._expired = session.token
                raise
            finally:
                self._session = None
                if session.seconds >= STEADY_SECONDS:
                    self._failures = 0
                await session.close()
        except (SignedOut, RealtimeEnded):
            raise
        except Closed as error:
            if not error.reconnect:
                raise RealtimeEnded(str(error)) from error
            return error
        except ClientError as error:
            return error
        except Exception as error:  # whatever it is: the next connection may do
            log.exception("The connection failed unexpectedly")
            return error

    async def _open(self) -> Session:
        """Connect; with a new token where this one is refused, once.

        When that is refused as well, the API says whether the session is over: who checks tokens
        at the handshake can only refuse, also when it can't check them.
        """
        if self._expired is None:
            token = await self._api.access_token()
        else:
            token = await self._api.renewed_access_token(self._expired)
            self._expired = None
        try:
            return await self._opened(token)
        except TokenRefused:
            token = await self._api.renewed_access_token(token)
        try:
            return await self._opened(token)
        except TokenRefused:
            await self._api.request("GET", "/auth/me")
        raise NetworkError("refused at the handshake, though the session is good")

    async def _opened(self, token: str) -> Session:
        socket = await open_socket(self._api.server, token, self._timing)
        return Session(socket, token, self._timing)

    async def _live(self, session: Session) -> NoReturn:
        user_id = self._api.user_id
        if self._bookmark is None or self._bookmark.user_id != user_id:
            self._bookmark = Bookmark(self._database, self._api.server, user_id)
        await self._follow(session, self._channels)
        await Delivery(session, self._bookmark, self._app).run()

    async def _follow(self, session: Session, channels: Collection[str]) -> None:
        """Subscribe to these; where that is refused, to the half of them, to find which is."""
        names = sorted(self._channels.intersection(channels))
        if not names:
            return
        try:
            await session.follow(names)
        except RealtimeRefused as error:
            if is_passing(error):
                raise NetworkError(str(error)) from error
            if len(names) == 1:
                self._channels.discard(names[0])
                await self._app.tell_refused(names[0], error)
                return
            for half in (names[: len(names) // 2], names[len(names) // 2 :]):
                await self._follow(session, half)

    async def _network(self) -> None:
        """Return when there is a network, as far as anybody is there to ask."""
        if self._connectivity is None or self._connectivity.state.reach is Reach.ONLINE:
            return
        if not await self._is_offline():
            return
        await self._app.tell(Status(RealtimeState.OFFLINE))
        await self._connectivity.wait_online()
        self._failures = 0  # they were the network's

    async def _pause(self, error: Exception) -> None:
        """Wait before the next try, unless the network comes back; without one don't, here."""
        self._came_online.clear()
        if isinstance(error, NetworkError) and await self._is_offline():
            return
        self._failures += 1
        seconds = self._timing.jitter(RECONNECT.longest(self._failures))
        if isinstance(error, ApiError) and error.retry_after:
            seconds = max(seconds, min(error.retry_after, MAX_RETRY_AFTER_SECONDS))
        await self._app.tell(Status(RealtimeState.WAITING, str(error), seconds))
        waiting = asyncio.ensure_future(self._timing.sleep(seconds))
        back = asyncio.ensure_future(self._came_online.wait())
        try:
            await asyncio.wait((waiting, back), return_when=asyncio.FIRST_COMPLETED)
        finally:
            await end(waiting, back)

    async def _is_offline(self) -> bool:
        if self._connectivity is None:
            return False
        return (await self._connectivity.check()).reach is not Reach.ONLINE

    def _network_is(self, state: State) -> None:
        if state.reach is Reach.ONLINE:
            self._came_online.set()
