"""One connection's life: kept alive, read, asked questions, and its end noticed.

Reading and pings go on whatever the app does with what came: that waits in an inbox, of a limited
size.
"""

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Awaitable, Collection, Coroutine
from contextlib import suppress
from typing import Any, NoReturn

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from fieldgate_client import realtime_frames as frames
from fieldgate_client.answers import strange
from fieldgate_client.errors import ClientError, NetworkError, NotUnderstood, RealtimeRefused
from fieldgate_client.realtime_frames import (
    Closing,
    Following,
    Frame,
    News,
    Pong,
    Position,
    Refusal,
    Resumed,
)
from fieldgate_client.realtime_handshake import SILENCE_SECONDS
from fieldgate_client.realtime_timing import Timing, end

log = logging.getLogger(__name__)

PING_SECONDS = 15.0  # what SignalR calls keep-alive
# The gateway's functions have ended by then: an answer that takes longer doesn't come.
ANSWER_SECONDS = 30.0
UNANSWERED = f"a question was not answered in {ANSWER_SECONDS:.0f} seconds"
# What waits for a slow app. Beyond it the server is asked again, page by page, as the app gets on.
MAX_WAITING = 1000


class Closed(ClientError):
    """The server has said that it closes the connection, and whether to come back."""

    def __init__(self, reason: str, *, reconnect: bool) -> None:
        super().__init__(f"the server closed the connection: {reason or 'for no reason'}")
        self.reason = reason
        self.reconnect = reconnect


class Inbox:
    """What came and waits for the app, in order; beyond the limit nothing is kept but that fact."""

    def __init__(self) -> None:
        self._waiting: deque[News] = deque()
        self._overflowed = False
        self._end: Exception | None = None
        self._changed = asyncio.Event()

    def put(self, news: News) -> None:
        if self._overflowed or self._end is not None:
            return
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append(news)
        else:
            log.info("The app is slow: more than %d updates wait for it", MAX_WAITING)
            self._overflowed = True
            self._waiting.clear()
        self._changed.set()

    def clear(self) -> None:
        """Begin anew, since what has come until now is about to be asked for."""
        self._overflowed = False
        self._waiting.clear()

    def end(self, error: Exception) -> None:
        self._end = error
        self._changed.set()

    async def get(self) -> News | None:
        """Return the next, or None where some were not kept; raise how the connection ended."""
        while True:
            if self._overflowed:
                return None
            if self._waiting:
                return self._waiting.popleft()
            if self._end is not None:
                raise self._end
            self._changed.clear()
            await self._changed.wait()


class Session:
    """An open connection, which `token` was shown for."""

    def __init__(self, socket: ClientConnection, token: str, timing: Timing) -> None:
        self.token = token
        self.inbox = Inbox()
        self.seconds = 0.0  # how long it has been good
        self._socket = socket
        self._timing = timing
        self._began = self._heard = timing.clock()
        self._ids = itertools.count(1)
        self._asked: dict[str | None, asyncio.Future[Resumed | Following | Refusal]] = {}
        # One change at a time: the server's functions run beside each other, in any order.
        self._changing = asyncio.Lock()
        self._failed: asyncio.Future[NoReturn] = asyncio.get_running_loop().create_future()
        self._end: Exception | None = None

    async def run(self, work: Coroutine[Any, Any, NoReturn]) -> NoReturn:
        """Keep the connection until it or the work on it ends, and raise why.

        When it is the connection, the work hears of it at its next question; whatever else it is
        doing then is left to it to end.
        """
        keeping = [asyncio.ensure_future(each) for each in self._keeping()]
        working = asyncio.ensure_future(work)
        try:
            await asyncio.wait((*keeping, working), return_when=asyncio.FIRST_COMPLETED)
            self.seconds = self._timing.clock() - self._began
            why = next(each for each in (*keeping, working) if each.done())
            self._over(_error_of(why))
            await asyncio.wait((working,))
        finally:
            await end(*keeping, working)
        raise _error_of(why)

    async def follow(self, channels: Collection[str]) -> None:
        """Subscribe; raises RealtimeRefused, and how the connection ended."""
        await self._change("subscribe", channels)

    async def leave(self, channels: Collection[str]) -> None:
        """Unsubscribe; raises as `follow` does."""
        await self._change("unsubscribe", channels)

    async def resume(self, position: Position | None) -> Resumed:
        """Ask for what came after a position; without one, for the place to begin at."""
        answer = await self._ask("resume", frames.place(position))
        if not isinstance(answer, Resumed):
            raise self._given_up(strange("something else than what was missed."))
        return answer

    async def close(self) -> None:
        await self._socket.close()

    async def _change(self, action: str, channels: Collection[str]) -> None:
        async with self._changing:
            answer = await self._ask(action, frames.channels(channels))
        if not isinstance(answer, Following):
            raise self._given_up(strange("something else than the channels."))

    async def _ask(self, action: str, what: dict[str, Any]) -> Resumed | Following:
        if self._end is not None:
            raise self._end
        id = str(next(self._ids))  # noqa: A001 the contract's name
        answer: asyncio.Future[Resumed | Following | Refusal]
        answer = self._asked[id] = asyncio.get_running_loop().create_future()
        try:
            await self._send(frames.request(id, action, **what))
            came = await self._timing.within(ANSWER_SECONDS, answer)
        except TimeoutError as error:
            raise self._given_up(NetworkError(UNANSWERED)) from error
        finally:
            del self._asked[id]
        if isinstance(came, Refusal):
            raise RealtimeRefused(came.code, came.message)
        return came

    async def _send(self, frame: str) -> None:
        # A connection that is cut is told by who reads it, who may know more about it.
        with suppress(ConnectionClosed):
            await self._socket.send(frame)

    def _given_up(self, error: NetworkError) -> NetworkError:
        """End the connection: what the server made of a question nobody knows."""
        if not self._failed.done():
            self._failed.set_exception(error)
        return error

    def _over(self, error: Exception) -> None:
        self._end = error
        if not (isinstance(error, Closed) and not error.reconnect):
            self.inbox.clear()  # the next connection brings it, so that one goes first
        self.inbox.end(error)
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(error)

    def _keeping(self) -> tuple[Awaitable[NoReturn], ...]:
        # The first that is done tells why: what the server said goes before what we make of it.
        return self._read(), self._notice_silence(), self._failed, self._ping()

    async def _read(self) -> NoReturn:
        while True:
            try:
                came = await self._socket.recv()
            except ConnectionClosed as error:
                raise NetworkError("the connection was cut") from error
            self._heard = self._timing.clock()
            try:
                self._take(frames.read(came))
            except NotUnderstood as error:
                log.info("Passed over a frame: %s", error)

    def _take(self, frame: Frame) -> None:
        match frame.content:
            case Closing(reason, reconnect):
                raise Closed(reason, reconnect=reconnect)
            case Resumed() | Following() | Refusal() as answer:
                asked = self._asked.get(frame.id)
                if asked is not None and not asked.done():
                    asked.set_result(answer)
                else:
                    log.info("Passed over an answer that nobody waits for: %.200r", answer)
            case Pong():
                pass
            case news:
                self.inbox.put(news)

    async def _ping(self) -> NoReturn:
        while True:
            await self._timing.sleep(PING_SECONDS)
            await self._send(frames.ping())

    async def _notice_silence(self) -> NoReturn:
        while (left := self._heard + SILENCE_SECONDS - self._timing.clock()) > 0:
            await self._timing.sleep(left)
        raise NetworkError(f"nothing was heard for {SILENCE_SECONDS:.0f} seconds")


def _error_of(task: asyncio.Future[NoReturn]) -> Exception:
    """Return why a task ended that never ends well."""
    error = None if task.cancelled() else task.exception()
    return error if isinstance(error, Exception) else ClientError("it was cancelled")
