"""Bringing chunks to storage: some at once, each tried again, failures counted and reported."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt

from fieldgate_client import local_file
from fieldgate_client.answers import body_of
from fieldgate_client.api import Api
from fieldgate_client.errors import ApiError, NetworkError, UploadFailed, UploadPaused
from fieldgate_client.policy import PIECE_BYTES, Policy
from fieldgate_client.progress import Meter
from fieldgate_client.reasons import in_words
from fieldgate_client.signed_urls import SignedUrl, SignedUrls
from fieldgate_client.upload_record import Chunk, UploadRecord
from fieldgate_client.upload_store import UploadStore

TOO_MANY_FAILURES = "TOO_MANY_FAILURES"
# Contract, POST /uploads/{id}/failures: 1 to 200 characters.
MAX_REASON_CHARACTERS = 200
# What storage says about a chunk is in its status; read so far, its connection can be used again.
MAX_STORAGE_ANSWER_BYTES = 64 * 1024


class _NotArrived(Exception):
    """Storage did not take a chunk this time; the message says why."""


@dataclass(frozen=True)
class Surroundings:
    """What sending takes: `storage` is httpx's, without our token; the rest as in UploadManager."""

    api: Api
    store: UploadStore
    storage: httpx.AsyncClient
    meter: Meter
    parallel: Callable[[], int]
    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]


class ChunkSender:
    """Sends chunks of one upload, which the server has agreed to.

    Args:
        record: the upload, as it is kept.
        policy: how long, how often.
        surroundings: what else it takes.

    """

    def __init__(self, record: UploadRecord, policy: Policy, surroundings: Surroundings) -> None:
        self._record = record
        self._policy = policy
        self._by = surroundings
        self._chunks: Mapping[int, Chunk] = {
            chunk.number: chunk for chunk in surroundings.store.chunks(record.id)
        }
        self._urls = SignedUrls(
            surroundings.api,
            str(record.upload_id),
            {number: chunk.sha256 for number, chunk in self._chunks.items()},
            policy.part_timeout_seconds,
            surroundings.clock,
        )
        self._waiting: deque[int] = deque()
        self._under_way: dict[asyncio.Task[None], int] = {}

    async def send(self, numbers: Iterable[int]) -> None:
        """Return when all of these chunks are in storage.

        How many go at once is asked before each: the phone may have changed its network. A pause
        lets those under way arrive, so that nothing is sent twice; whatever else ends it cuts them.

        Raises:
            NetworkError: there is no network, or neither storage nor the server is reached.
            UploadFailed: too many chunks in a row have failed.
            FileChanged, UploadPaused, UploadCancelled, ApiError, SignedOut

        """
        self._waiting = deque(numbers)
        done: set[asyncio.Task[None]] = set()
        try:
            while self._waiting or self._under_way:
                self._fill()
                done, _ = await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    number = self._under_way.pop(task)
                    try:
                        task.result()
                    except UploadPaused:
                        self._waiting.append(number)
        finally:
            for task in self._under_way:
                task.cancel()
            # Also of those that ended together, the first of which is being raised.
            await asyncio.gather(*self._under_way, *done, return_exceptions=True)
            self._under_way.clear()

    def _fill(self) -> None:
        """Take up as many chunks as may be under way at once."""
        try:
            self._by.store.check(self._record.id)
        except UploadPaused:
            if not self._under_way:
                raise
            return
        at_once = self._by.parallel()
        if at_once < 1 and not self._under_way:
            raise NetworkError("There is no network to send on.")
        while self._waiting and len(self._under_way) < at_once:
            number = self._waiting.popleft()
            self._under_way[asyncio.create_task(self._bring(number))] = number

    async def _bring(self, number: int) -> None:
        """Get one chunk into storage, or back to the end of those that wait."""
        chunk = self._chunks[number]
        body = await asyncio.to_thread(
            local_file.read_chunk,
            Path(self._record.path),
            (number - 1) * self._record.chunk_size,
            chunk.length,
            chunk.sha256,
        )
        try:
            await self._retrying()(self._put, number, body)
        except _NotArrived as error:
            await self._failed(number, str(error))
            self._waiting.append(number)

    async def _put(self, number: int, body: bytes) -> None:
        """Send a chunk once, and once more with a new URL if storage refuses the first."""
        url = await self._url(number)
        response = await self._exchange(number, url, body)
        if response.status_code == httpx.codes.FORBIDDEN:
            self._urls.refused(number, url)
            response = await self._exchange(number, await self._url(number), body)
        if not _is_taken(response):
            raise _NotArrived(f"storage answered {response.status_code}")
        self._by.meter.acknowledge(number)

    async def _url(self, number: int) -> SignedUrl:
        return await self._urls.get(number, [*self._under_way.values(), *self._waiting])

    async def _exchange(self, number: int, url: SignedUrl, body: bytes) -> httpx.Response:
        self._by.store.chunk_leaves(self._record.id, number)
        sent = 0
        taken = False

        async def pieces() -> AsyncIterator[bytes]:
            nonlocal sent
            for start in range(0, len(body), PIECE_BYTES):
                piece = body[start : start + PIECE_BYTES]
                yield piece
                # Asked for the next one: this one is on its way.
                sent += len(piece)
                self._by.meter.went_out(number, len(piece))

        try:
            async with asyncio.timeout(self._policy.part_timeout_seconds):
                request = self._by.storage.stream(
                    url.method, url.url, headers=url.headers, content=pieces()
                )
                async with request as response:
                    await body_of(response, MAX_STORAGE_ANSWER_BYTES)
            taken = _is_taken(response)
        except (httpx.RequestError, TimeoutError) as error:
            raise _NotArrived(f"storage can't be reached: {in_words(error)}") from error
        finally:
            self._by.store.chunk_sent(self._record.id, number, sent, acknowledged=taken)
        return response

    async def _failed(self, number: int, reason: str) -> None:
        """Count a chunk that failed with all its retries, and tell the server as well as we can."""
        count = self._by.store.count_failure(self._record.id)
        is_last = count >= self._policy.max_consecutive_failures
        state = None
        try:
            answer = await self._by.api.request(
                "POST",
                f"/uploads/{self._record.upload_id}/failures",
                json={"number": number, "reason": reason[:MAX_REASON_CHARACTERS]},
            )
            state = answer.fields.text("state")
        except ApiError:
            pass  # the next request hears of what matters
        except NetworkError:
            # The network is gone, not storage: better wait for it than use the failures up.
            if not is_last:
                raise
        if is_last or state == "failed":
            self._by.store.failed(self._record.id, TOO_MANY_FAILURES)
            raise UploadFailed(TOO_MANY_FAILURES, message=f"The last: {reason}.")

    def _retrying(self) -> AsyncRetrying:
        return AsyncRetrying(
            stop=stop_after_attempt(1 + self._policy.max_retries),
            wait=self._policy.backoff.pause,
            retry=retry_if_exception_type(_NotArrived),
            before_sleep=self._count_retry,
            sleep=self._by.sleep,
            reraise=True,
        )

    def _count_retry(self, _: RetryCallState) -> None:
        self._by.store.count_retry(self._record.id)
        self._by.meter.retry()


def _is_taken(response: httpx.Response) -> bool:
    """Say whether storage has it: a captive portal says 200 as well, but without an ETag."""
    return response.is_success and "ETag" in response.headers
