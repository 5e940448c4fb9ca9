"""Frames to connections, hundreds at once: POST and DELETE of API Gateway's @connections.

(docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-how-to-call-websocket-api-connections.html)
boto3's client does the same for six times the processor's time (benchmarks/fan_out.py).
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Collection
from contextvars import copy_context
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal

from fieldgate.observability import logger
from fieldgate.sigv4 import Credentials
from realtime.endpoint import RealtimeSettings, signed_request

if TYPE_CHECKING:
    from aiohttp import ClientSession
    from tenacity import RetryCallState

type Outcome = Literal["delivered", "gone", "passing", "refused"]
"""`gone`: there is no such connection any more. `passing`: another try may do. `refused`: none will
until somebody repairs something: a permission, a setting.
"""

# Requests at once, each over a connection that is kept for the next.
AT_ONCE = 128
# Opening one takes longer than a few requests over one that is open.
REQUESTS_EACH = 4
# In a frozen environment nobody hears that the other end hung up.
IDLE_SECONDS = 20
CONNECT_SECONDS = 2
POST_SECONDS = 5
# What a server may ask us to wait; more, and somebody else had better try.
LONGEST_RETRY_AFTER_SECONDS = 5
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 3


@dataclass(frozen=True)
class Answer:
    """What came of one try; `retry_after` are the seconds that the server asked for, or zero."""

    outcome: Outcome
    retry_after: float = 0


class Poster:
    """Speaks to connections, each frame in one request; made by a `Line`."""

    def __init__(
        self, session: "ClientSession", settings: RealtimeSettings, credentials: Credentials
    ) -> None:
        self._session = session
        self._settings = settings
        self._credentials = credentials

    async def post(self, connection_id: str, frame: bytes) -> Outcome:
        """Send a frame, in one try; `delivered` is what API Gateway took."""
        return (await self._request("POST", connection_id, frame)).outcome

    async def post_again(self, connection_id: str, frame: bytes, seconds: float) -> Outcome:
        """Send a frame in a few tries, with growing pauses, none begun after `seconds`."""
        return await self._again("POST", connection_id, frame, seconds)

    async def delete(self, connection_id: str, seconds: float) -> Outcome:
        """End a connection, in tries as `post_again`; `delivered` when it was there till now."""
        return await self._again("DELETE", connection_id, b"", seconds)

    async def _again(
        self, method: str, connection_id: str, frame: bytes, seconds: float
    ) -> Outcome:
        from tenacity import (
            AsyncRetrying,
            retry_if_result,
            stop_before_delay,
            wait_exponential,
            wait_random,
        )

        growing = wait_exponential(multiplier=FIRST_PAUSE_SECONDS, max=LONGEST_PAUSE_SECONDS)
        # Whoever was throttled at once is not to come back at once.
        spread = growing + wait_random(0, FIRST_PAUSE_SECONDS)

        def answer_of(state: "RetryCallState") -> Answer:
            assert state.outcome is not None
            answer: Answer = state.outcome.result()
            return answer

        answer: Answer = await AsyncRetrying(
            retry=retry_if_result(lambda answer: answer.outcome == "passing"),
            wait=lambda state: max(spread(state), answer_of(state).retry_after),
            stop=stop_before_delay(seconds),
            retry_error_callback=answer_of,
            sleep=asyncio.sleep,
        )(self._request, method, connection_id, frame)
        return answer.outcome

    async def _request(self, method: str, connection_id: str, frame: bytes) -> Answer:
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
                    return Answer("delivered")
                said = (await response.content.read(500)).decode(errors="replace")
                await response.read()
                return _read(method, response.status, response.headers.get("Retry-After"), said)
        except (ClientError, OSError, TimeoutError):
            # Cut, refused or too slow; that it wasn't taken is not sure.
            return Answer("passing")


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

    def run(self, work: Callable[[Poster], Awaitable[None]]) -> None:
        """Do `work` in the loop that the connections are of."""
        # By itself it would go on in the context of the first run, whose deadline is long over.
        self._runner.run(self._run(work), context=copy_context())

    def close(self) -> None:
        if self._session is not None:
            self._runner.run(self._session.close())
        self._runner.close()

    async def _run(self, work: Callable[[Poster], Awaitable[None]]) -> None:
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
            await work(Poster(self._session, self._settings, self._credentials()))
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


async def at_once[T](
    items: Collection[T], work: Callable[[T], Awaitable[None]], *, workers: int | None = None
) -> None:
    """Do `work` for each of `items`: `workers` at once, or as many as is worth it.

    What an item raises ends the others' work where it is.
    """
    if workers is None:
        workers = min(AT_ONCE, math.ceil(len(items) / REQUESTS_EACH))
    waiting = iter(items)

    async def do_some() -> None:
        for item in waiting:
            await work(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(do_some())


def _read(method: str, status: int, retry_after: str | None, said: str) -> Answer:
    if status == HTTPStatus.GONE:
        return Answer("gone")
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Answer("passing", _seconds(retry_after))
    logger().error(
        "connection not spoken to", extra={"method": method, "status": status, "said": said}
    )
    return Answer("refused")


def _seconds(retry_after: str | None) -> float:
    """Return what the header says; zero when it is a date, or more than we would wait."""
    if retry_after is None or not (retry_after.isascii() and retry_after.isdigit()):
        return 0
    seconds = int(retry_after[:6])
    return seconds if seconds <= LONGEST_RETRY_AFTER_SECONDS else 0
