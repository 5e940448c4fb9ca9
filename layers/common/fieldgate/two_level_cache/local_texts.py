"""Texts that this process keeps for a while, with a bound on their memory."""

import time
from threading import Lock

MOST_BYTES = 4 * 1024 * 1024
# What Python needs for an entry besides its characters.
ENTRY_BYTES = 300


class LocalTexts:
    """Texts by key, of `MOST_BYTES` in all: what nobody asked for longest makes room.

    One that takes more than a sixteenth of that isn't kept.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        # Text, from when and until when. What was asked for last is last.
        self._entries: dict[str, tuple[str, float, float]] = {}
        self.bytes = 0

    def get(self, key: str) -> str | None:
        with self._lock:
            entry = self._entries.pop(key, None)
            if entry is None:
                return None
            text, begins, ends = entry
            # Wall-clock time: a frozen environment grows old as well, and clocks are set back.
            if begins <= time.time() < ends:
                self._entries[key] = entry
                return text
            self.bytes -= _size(key, text)
            return None

    def set(self, key: str, text: str, seconds: float) -> None:
        size = _size(key, text)
        if seconds <= 0 or size > MOST_BYTES // 16:
            return
        now = time.time()
        with self._lock:
            self._remove(key)
            while self.bytes + size > MOST_BYTES:
                self._remove(next(iter(self._entries)))
            self._entries[key] = text, now, now + seconds
            self.bytes += size

    def _remove(self, key: str) -> None:
        if entry := self._entries.pop(key, None):
            self.bytes -= _size(key, entry[0])


def _size(key: str, text: str) -> int:
    # As JSON is written here, a character is a byte.
    return len(key) + len(text) + ENTRY_BYTES
