"""How far an upload is, for a progress bar."""

from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from fieldgate_client.upload_store import Chunk

# Speed is that of so many last seconds: long enough to be calm, short enough to show a bad spell.
SPEED_WINDOW_SECONDS = 10.0


@dataclass(frozen=True)
class Progress:
    """All in bytes but `retries`, `speed` (bytes a second) and `remaining` (seconds).

    `acknowledged` is what storage has confirmed. `sent` is all that went out for this upload, in
    every run, `resent_bytes` of it more than once: sent - resent_bytes never passes size, and is
    size at the end. What was in flight when a process was killed counts as sent. `speed` and
    `remaining` are None until there is something to measure.
    """

    size: int
    acknowledged: int
    sent: int
    resent_bytes: int
    retries: int
    speed: float | None
    remaining: float | None


class Meter:
    """Counts what goes out, chunk by chunk, and tells `listener` each time."""

    def __init__(
        self, clock: Callable[[], float], listener: Callable[[Progress], None] | None = None
    ) -> None:
        self._clock = clock
        self._listener = listener
        self._chunks: dict[int, Chunk] = {}
        self._sent: dict[int, int] = {}
        self._acknowledged: set[int] = set()
        self._size = 0
        self._in_vain = 0
        self._retries = 0
        self._recent: deque[tuple[float, int]] = deque()

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
        now = self._clock()
        self._recent.append((now, count))
        while self._recent[0][0] < now - SPEED_WINDOW_SECONDS:
            self._recent.popleft()
        self._tell()

    def acknowledge(self, number: int) -> None:
        """Storage has this chunk as well."""
        self._acknowledged.add(number)
        self._tell()

    def retry(self) -> None:
        """Count a request that has to be sent again."""
        self._retries += 1
        self._tell()

    def progress(self) -> Progress:
        acknowledged = sum(self._chunks[number].length for number in self._acknowledged)
        once = sum(min(self._sent[n], chunk.length) for n, chunk in self._chunks.items())
        sent = self._in_vain + sum(self._sent.values())
        speed = self._speed()
        return Progress(
            size=self._size,
            acknowledged=acknowledged,
            sent=sent,
            resent_bytes=sent - once,
            retries=self._retries,
            speed=speed,
            remaining=(self._size - acknowledged) / speed if speed else None,
        )

    def _speed(self) -> float | None:
        if not self._recent:
            return None
        seconds = self._clock() - self._recent[0][0]
        return sum(count for _, count in self._recent) / seconds if seconds > 0 else None

    def _tell(self) -> None:
        if self._listener is not None:
            self._listener(self.progress())
