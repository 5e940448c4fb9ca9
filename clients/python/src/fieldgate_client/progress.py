"""How far an upload is, for a progress bar."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fieldgate_client.upload_record import Chunk

# Speed is that of so many last seconds: chunks arrive whole, on a slow line one in half a minute.
SPEED_WINDOW_SECONDS = 30.0
# After a shorter time a speed says more about the first chunk than about the line.
SPEED_KNOWN_AFTER_SECONDS = 2.0
# Listeners are told so often even if nothing moves: then the speed falls, and that is to be seen.
TELL_SECONDS = 1.0


@dataclass(frozen=True)
class Progress:
    """All in bytes but `retries`, `speed` (bytes a second) and `remaining` (seconds).

    `acknowledged` is what storage has confirmed. `sent` is all that went out for this upload, in
    every run, `resent_bytes` of it more than once: sent - resent_bytes never passes size, and is
    size at the end. What was in flight when a process was killed counts as sent. `speed` is that of
    what storage has confirmed: bytes that go out into a hanging connection arrive nowhere. It and
    `remaining` are None in the first seconds, and when nothing has arrived for a while.
    """

    size: int
    acknowledged: int
    sent: int
    resent_bytes: int
    retries: int
    speed: float | None
    remaining: float | None

    @property
    def is_there(self) -> bool:
        """Whether storage has all of it; the server is putting it together then."""
        return self.acknowledged >= self.size


class Speedometer:
    """Bytes a second over the last SPEED_WINDOW_SECONDS, counted from when it is started."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._started_at: float | None = None
        self._recent: deque[tuple[float, int]] = deque()

    def start(self) -> None:
        """Begin to measure, unless that has begun."""
        if self._started_at is None:
            self._started_at = self._clock()

    def count(self, arrived: int) -> None:
        """So many bytes have arrived just now."""
        self._recent.append((self._clock(), arrived))

    def speed(self) -> float | None:
        """Return the speed now; None too early, and when nothing has arrived in the window."""
        now = self._clock()
        while self._recent and self._recent[0][0] <= now - SPEED_WINDOW_SECONDS:
            self._recent.popleft()
        measured = now - self._started_at if self._started_at is not None else 0.0
        if not self._recent or measured < SPEED_KNOWN_AFTER_SECONDS:
            return None
        arrived = sum(count for _, count in self._recent)
        return arrived / min(measured, SPEED_WINDOW_SECONDS)


class Meter:
    """Counts what goes out, chunk by chunk, and tells `listener` each time."""

    def __init__(
        self, clock: Callable[[], float], listener: Callable[[Progress], None] | None = None
    ) -> None:
        self._listener = listener
        self._chunks: dict[int, Chunk] = {}
        self._sent: dict[int, int] = {}
        self._acknowledged: set[int] = set()
        self._size = 0
        self._in_vain = 0
        self._retries = 0
        self._speedometer = Speedometer(clock)

    @asynccontextmanager
    async def telling(self) -> AsyncIterator[None]:
        """Tell the listener of the time that passes, too."""
        if self._listener is None:
            yield
            return
        telling = asyncio.create_task(self._tell_again_and_again())
        try:
            yield
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)

    def begin(self, size: int, in_vain: int, retries: int, chunks: Iterable[Chunk]) -> None:
        """Take up what was counted before."""
        self._size, self._in_vain, self._retries = size, in_vain, retries
        self._chunks = {chunk.number: chunk for chunk in chunks}
        self._sent = {number: chunk.sent_bytes for number, chunk in self._chunks.items()}
        self.arrived([number for number, chunk in self._chunks.items() if chunk.acknowledged])

    def arrived(self, numbers: Collection[int]) -> None:
        """Storage has these chunks, and only them."""
        self._acknowledged = set(numbers)
        self._tell()

    def went_out(self, number: int, count: int) -> None:
        """So many more bytes of a chunk were handed to the network."""
        self._sent[number] += count
        self._speedometer.start()
        self._tell()

    def acknowledge(self, number: int) -> None:
        """Storage has this chunk as well."""
        if number not in self._acknowledged:
            self._acknowledged.add(number)
            self._speedometer.count(self._chunks[number].length)
        self._tell()

    def retry(self) -> None:
        """Count a request that has to be sent again."""
        self._retries += 1
        self._tell()

    def progress(self) -> Progress:
        acknowledged = sum(self._chunks[number].length for number in self._acknowledged)
        once = sum(min(self._sent[n], chunk.length) for n, chunk in self._chunks.items())
        sent = self._in_vain + sum(self._sent.values())
        speed = self._speedometer.speed()
        return Progress(
            size=self._size,
            acknowledged=acknowledged,
            sent=sent,
            resent_bytes=sent - once,
            retries=self._retries,
            speed=speed,
            remaining=(self._size - acknowledged) / speed if speed else None,
        )

    def _tell(self) -> None:
        if self._listener is not None:
            self._listener(self.progress())

    async def _tell_again_and_again(self) -> None:
        while True:
            await asyncio.sleep(TELL_SECONDS)
            if self._size:
                self._tell()
