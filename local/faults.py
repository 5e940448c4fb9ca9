"""Breaking a dependency on purpose, for a while: what POST /_local/faults switches."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Literal

type FaultMode = Literal["down", "slow", "error", "hang", "cut", "lost", "expired"]
# These befall single requests, which only the storage gate can tell apart.
STORAGE_FAULT_MODES = frozenset[FaultMode]({"cut", "lost", "expired"})

HANG_LOOK_SECONDS = 0.02


class Faults:
    """Which targets are broken now, and how. Belongs to one event loop.

    `clock` is monotonic, in seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[str, tuple[FaultMode, float]] = {}
        self._codes: dict[str, int | None] = {}
        self._listeners: defaultdict[str, list[Callable[[FaultMode], None]]] = defaultdict(list)

    def set(self, target: str, mode: FaultMode, seconds: float, *, code: int | None = None) -> None:
        """Break `target` from now on, over what was set before; with 0 seconds, mend it.

        `code` says which of its own errors a stand-in is to answer with.
        """
        self._until[target] = (mode, self._clock() + seconds)
        self._codes[target] = code
        if seconds > 0:
            for listener in self._listeners[target]:
                listener(mode)

    def active(self, target: str) -> FaultMode | None:
        """Return how `target` is broken now, None when it is not."""
        mode, until = self._until.get(target, (None, 0.0))
        return mode if self._clock() < until else None

    def code(self, target: str) -> int | None:
        """Return the error that `target` answers with now, where it was told which."""
        return self._codes.get(target) if self.active(target) == "error" else None

    async def hold(self, target: str, *, abandoned: Callable[[], bool] = lambda: False) -> None:
        """Return when `target` doesn't hang, or doesn't any more, or nobody waits for it."""
        # Looked at again and again: no event tells that the clock, whichever it is, has moved on.
        while self.active(target) == "hang" and not abandoned():  # noqa: ASYNC110
            await asyncio.sleep(HANG_LOOK_SECONDS)

    def on_set(self, target: str, listener: Callable[[FaultMode], None]) -> None:
        """Call `listener` at once whenever `target` is broken."""
        self._listeners[target].append(listener)
