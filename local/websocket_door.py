"""The WebSocket of the front door, with API Gateway's limits, of which the local cloud has none.

(docs.aws.amazon.com/apigateway: "Quotas for configuring and running a WebSocket API"; "WebSocket
API status codes"; "Binary media types for WebSocket APIs")

What differs from AWS: there a frame may have 32 KB and a message of several 128 KB; here frames are
put together before one sees them, so a message may have 32 KB. Whoever leaves without a word is
known to be gone at once, as it is one machine. And of the local cloud's own: messages of a client
are worked on one after the other, in their order, and of a connection that a function closes, what
the client had sent before is worked on first.
"""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NamedTuple

import aiohttp
from aiohttp import WSMsgType, web
from yarl import URL

_HOP_BY_HOP = {"connection", "content-length", "host", "keep-alive", "te", "transfer-encoding"}
_SESSION = web.AppKey("websocket_session", aiohttp.ClientSession)
# Read before it is refused: an answer in the middle of what is sent can get lost with it.
_MOST_BYTES = 16 * 1024**2


@dataclass(frozen=True)
class Limits:
    """What API Gateway allows; in seconds and bytes."""

    handshake_seconds: float = 29
    # Of ours, as each one at a time takes two processes of functions; AWS begins 500 a second.
    handshakes: int = 4
    # Without a message either way; pings are none.
    idle_seconds: float = 10 * 60
    connection_seconds: float = 2 * 60 * 60
    message_bytes: int = 32 * 1024
    # What functions may send; of more than 32 KB AWS makes several frames.
    sent_bytes: int = 128 * 1024
    # In any second. AWS doesn't tell its number; without any, the local cloud would be busy with
    # one flood for an hour, long after whoever sent it has gone.
    messages: int = 1_000
    # Of ours: how long either side may take to say goodbye.
    close_seconds: float = 1


class End(NamedTuple):
    """Why a connection ends, as a close frame says it."""

    code: int
    reason: str = ""


GOING_AWAY = End(1001, "Going away")
NO_BINARY = End(1003, "Unsupported data")
TOO_MANY = End(1008, "Too many requests")
TOO_BIG = End(1009, "Message too big")
# Said of a connection that ended without a close frame, and never in one.
_NEVER_SENT = {1005: 1000, 1006: 1001, 1015: 1001}

type Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


class WebSocketDoor:
    """Passes WebSockets on to one stage of an API: `url` is its address in the local cloud."""

    def __init__(self, url: str, limits: Limits | None = None) -> None:
        self._url = url
        self._limits = limits or Limits()
        self._handshakes = asyncio.Semaphore(self._limits.handshakes)
        self._stopping = asyncio.Event()
        self._open: set[asyncio.Task[Any]] = set()

    def add_to(self, app: web.Application, path: str) -> None:
        """Serve WebSockets at `path`, and close them when `app` stops."""
        app.router.add_get(path, self.serve)
        app.cleanup_ctx.append(_session)
        app.on_shutdown.append(self._close_all)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Serve a connection until it ends."""
        # It prints the subprotocols that a client offers, which may hold a token.
        logging.getLogger("aiohttp.websocket").setLevel(logging.ERROR)
        front = web.WebSocketResponse(
            autoclose=False, compress=False, max_msg_size=_MOST_BYTES, decode_text=True
        )
        if not front.can_prepare(request):
            return _refuse(HTTPStatus.UPGRADE_REQUIRED, Upgrade="websocket")
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            back = await self._connect(request)
            with suppress(ConnectionError):  # who didn't wait for our answer
                await front.prepare(request)
            end = await self._exchange(front, back) if front.prepared else GOING_AWAY
            await self._finish(request, front, back, end)
        except aiohttp.WSServerHandshakeError as refusal:
            return _refuse(refusal.status)
        except (aiohttp.ClientError, TimeoutError):
            return _refuse(HTTPStatus.SERVICE_UNAVAILABLE)
        finally:
            self._open.discard(task)
        return front

    async def _connect(self, request: web.Request) -> aiohttp.ClientWebSocketResponse:
        headers = [
            (name, value)
            for name, value in request.headers.items()
            if not name.lower().startswith("sec-websocket-")
            and name.lower() not in _HOP_BY_HOP | {"upgrade"}
        ]
        query = f"?{request.rel_url.raw_query_string}" if request.rel_url.raw_query_string else ""
        async with asyncio.timeout(self._limits.handshake_seconds), self._handshakes:
            if self._stopping.is_set():
                raise aiohttp.ClientError("The door is closing.")
            return await request.app[_SESSION].ws_connect(
                URL(self._url + query, encoded=True),
                headers=headers,
                autoclose=False,
                max_msg_size=_MOST_BYTES,
            )

    async def _exchange(
        self, front: web.WebSocketResponse, back: aiohttp.ClientWebSocketResponse
    ) -> End:
        """Pass messages both ways; returns why that ended."""
        loop = asyncio.get_running_loop()
        opened = heard = loop.time()

        async def pass_on(
            source: Socket, target: Socket, most_bytes: int, most: int = sys.maxsize
        ) -> End:
            nonlocal heard
            since, count = opened, 0
            while (message := await source.receive()).type is WSMsgType.TEXT:
                if len(message.data.encode()) > most_bytes:
                    return TOO_BIG
                heard = loop.time()
                since, count = (since, count + 1) if heard < since + 1 else (heard, 1)
                if count > most:
                    return TOO_MANY
                try:
                    # Returns when the other side takes more, so that nobody is read faster.
                    await target.send_str(message.data)
                except ConnectionError:
                    return End(1006)
            return _end(message, source.close_code)

        async def expire() -> End:
            while (left := self._seconds_left(opened, heard)) > 0:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), left)
                    break
            return GOING_AWAY

        return await _first(
            pass_on(front, back, self._limits.message_bytes, self._limits.messages),
            pass_on(back, front, self._limits.sent_bytes),
            expire(),
        )

    def _seconds_left(self, opened: float, heard: float) -> float:
        over = min(opened + self._limits.connection_seconds, heard + self._limits.idle_seconds)
        return over - asyncio.get_running_loop().time()

    async def _finish(
        self,
        request: web.Request,
        front: web.WebSocketResponse,
        back: aiohttp.ClientWebSocketResponse,
        end: End,
    ) -> None:
        """Tell both sides, and wait for their goodbyes, though not for long."""
        code, reason = _NEVER_SENT.get(end.code, end.code), end.reason.encode()
        goodbyes = [back.close(code=code, message=reason)]
        if front.prepared:
            goodbyes.append(front.close(code=code, message=reason))
        with suppress(TimeoutError):
            async with asyncio.timeout(self._limits.close_seconds):
                await asyncio.gather(*goodbyes)
                return
        if request.transport is not None:
            request.transport.abort()

    async def _close_all(self, _app: web.Application) -> None:
        self._stopping.set()
        if self._open:
            # They end within the time for goodbyes; who still waits for a handshake is cancelled.
            await asyncio.wait(self._open, timeout=2 * self._limits.close_seconds)


async def _session(app: web.Application) -> AsyncIterator[None]:
    # Else there are a hundred connections and no more.
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        app[_SESSION] = session
        yield


def _end(message: aiohttp.WSMessage, close_code: int | None) -> End:
    """Say what a message that is no text ends its connection with."""
    if message.type is WSMsgType.BINARY:
        return NO_BINARY
    if message.type is WSMsgType.CLOSE:
        return End(message.data or 1005, message.extra or "")
    return End(close_code or 1006)


async def _first[T](*works: Coroutine[Any, Any, T]) -> T:
    """Return the result of whichever is done first; the others are cancelled."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in tasks if task in done).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _refuse(status: int, **headers: str) -> web.Response:
    body = {"message": HTTPStatus(status).phrase}
    return web.json_response(body, status=status, headers=headers)
