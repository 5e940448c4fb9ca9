"""Frames to connections, hundreds at once: POST and DELETE of API Gateway's @connections.

Each is tried once: whoever waits here has others wait, so another try is left to the queue.

(docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-how-to-call-websocket-api-connections.html)
boto3's client does the same for six times the processor's time (benchmarks/fan_out.py).
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Collection
from contextvars import copy_context
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal

from fieldgate.observability import logger
from fieldgate.sigv4 import Credentials
from realtime.endpoint import IDLE_SECONDS, RealtimeSettings, signed_request

if TYPE_CHECKING:
    from aiohttp import ClientSession

type Outcome = Literal["delivered", "gone", "passing", "refused"]
"""`gone`: there is no such connection any more. `passing`: another try may do, later; so it is when
all is throttled, and also when one client doesn't read. `refused`: none will until somebody repairs
something: a permission, a setting.
"""

# Requests at once, each over a connection that is kept for the next.
AT_ONCE = 128
# Opening one takes longer than a few requests over one that is open.
REQUESTS_EACH = 4
CONNECT_SECONDS = 2
POST_SECONDS = 5


class Poster:
    """Speaks to connections, each frame in one request; made by a `Line`."""

    def __init__(
        self, session: "ClientSession", settings: RealtimeSettings, credentials: Credentials
    ) -> None:
        self._session = session
        self._settings = settings
        self._credentials = credentials

    async def post(self, connection_id: str, frame: bytes) -> Outcome:
        """Send a frame; `delivered` is what API Gateway took."""
        return await self._request("POST", connection_id, frame)

    async def delete(self, connection_id: str) -> Outcome:
        """End a connection; `delivered` when it was there till now."""
        return await self._request("DELETE", connection_id, b"")

    async def _request(self, method: str, connection_id: str, frame: bytes) -> Outcome:
        from aiohttp import ClientError
        from yarl import URL

        url, headers = signed_request(
            self._settings, self._credentials, method, connection_id, frame
        )
        try:
            # What is signed is to be sent, so nothing is encoded for us, nor followed.
            async with self._session.request(
                method,
                URL(url, encoded=True),
                data=frame or None,
                headers=headers,
                allow_redirects=False,
            ) as response:
                if response.status < HTTPStatus.MULTIPLE_CHOICES:
                    return "delivered"
                said = (await response.content.read(500)).decode(errors="replace")
                await response.read()
                return _read(method, response.status, said)
        except (ClientError, OSError, TimeoutError):
            # Cut, refused or too slow; that it wasn't taken is not sure.
            return "passing"


class Line:
    """What an environment posts with, kept from run to run: to agree on TLS costs as much as posts.

    `credentials` are asked for each run, and are to last for it.
    """

    def __init__(self, settings: RealtimeSettings, credentials: Callable[[], Credentials]) -> None:
        self._settings = settings
        self._credentials = credentials
        self._runner = asyncio.Runner()
        self._session: ClientSession | None = None
        self._last_used = 0.0

    def run[T](self, work: Callable[[Poster], Awaitable[T]]) -> T:
        """Do `work` in the loop that the connections are of; return what it does."""
        # By itself it would go on in the context of the first run, whose deadline is long over.
        return self._runner.run(self._run(work), context=copy_context())

    def close(self) -> None:
        if self._session is not None:
            self._runner.run(self._session.close())
        self._runner.close()

    async def _run[T](self, work: Callable[[Poster], Awaitable[T]]) -> T:
        # The loop stood still since the last run: in a turn it asks who hung up meanwhile, and in
        # another hears of it.
        for _ in range(2):
            await asyncio.sleep(0)
        # Wall-clock time, because the monotonic clock may stand still in a frozen environment.
        if self._session is not None and time.time() - self._last_used > IDLE_SECONDS:
            await self._session.close()
            self._session = None
        self._session = self._session or _open_session()
        try:
            return await work(Poster(self._session, self._settings, self._credentials()))
        finally:
            self._last_used = time.time()


def _open_session() -> "ClientSession":
    import aiohttp

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=AT_ONCE),
        timeout=aiohttp.ClientTimeout(total=POST_SECONDS, sock_connect=CONNECT_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    )


async def at_once[T](items: Collection[T], work: Callable[[T], Awaitable[None]]) -> None:
    """Do `work` for each of `items`, for as many at once as is worth it.

    What an item raises ends the others' work where it is.
    """
    waiting = iter(items)

    async def do_some() -> None:
        for item in waiting:
            await work(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(AT_ONCE, math.ceil(len(items) / REQUESTS_EACH))):
            group.create_task(do_some())


def _read(method: str, status: int, said: str) -> Outcome:
    if status == HTTPStatus.GONE:
        return "gone"
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "passing"
    logger().error(
        "connection not spoken to", extra={"method": method, "status": status, "said": said}
    )
    return "refused"
