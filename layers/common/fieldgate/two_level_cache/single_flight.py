"""Work that many threads want at the same moment, and one of them does."""

from collections.abc import Callable
from threading import Event, Lock

WAIT_SECONDS = 3


class _Flight[T]:
    def __init__(self) -> None:
        self.over = Event()
        self.result: T | None = None


class SingleFlight[T]:
    """What is under way in this process, by key."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._under_way: dict[str, _Flight[T]] = {}

    def do(self, key: str, work: Callable[[], T]) -> T:
        """Return what `work` does, or what it does in the thread that is at it already.

        When that fails there, or takes more than `WAIT_SECONDS`, it is done here as well.
        """
        with self._lock:
            other = self._under_way.get(key)
            mine = self._under_way.setdefault(key, _Flight())
        if other is not None:
            other.over.wait(WAIT_SECONDS)
            return work() if other.result is None else other.result
        try:
            mine.result = work()
            return mine.result
        finally:
            with self._lock:
                del self._under_way[key]
            mine.over.set()
