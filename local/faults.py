"""Breaking a dependency on purpose, for a while: what POST /_local/faults switches."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

type FaultMode = Literal["down", "slow", "error", "hang", "cut", "lost", "expired"]
# These befall single requests, which only the storage gate can tell apart.
STORAGE_FAULT_MODES = frozenset[FaultMode]({"cut", "lost", "expired"})

HANG_LOOK_SECONDS = 0.02


@dataclass(frozen=True)
class Fault:
    """How something is broken, and until when.

    `code` says which of its own errors a stand-in answers with, `retry_after` after how many
    seconds it says it may be asked again.
    """

    mode: FaultMode
    until: float
    code: int | str | None = None
    retry_after: float | None = None


class Faults:
    """Which targets are broken now, and how. Belongs to one event loop.

    `clock` is monotonic, in seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._faults: dict[str, Fault] = {}
        self._listeners: defaultdict[str, list[Callable[[FaultMode], None]]] = defaultdict(list)

    def set(
        self,
        target: str,
        mode: FaultMode,
        seconds: float,
        *,
        code: int | str | None = None,
        retry_after: float | None = None,
    ) -> None:
        """Break `target` from now on, over what was set before; with 0 seconds, mend it."""
        self._faults[target] = Fault(mode, self._clock() + seconds, code, retry_after)
        if seconds > 0:
            for listener in self._listeners[target]:
                listener(mode)

    def fault(self, target: str) -> Fault | None:
        """Return what befalls `target` now, None when it is whole."""
        fault = self._faults.get(target)
        return fault if fault and self._clock() < fault.until else None

    def active(self, target: str) -> FaultMode | None:
        """Return how `target` is broken now, None when it is not."""
        fault = self.fault(target)
        return fault.mode if fault else None

    def code(self, target: str) -> int | str | None:
        """Return the error that `target` answers with now, where it was told which."""
        fault = self.fault(target)
        return fault.code if fault and fault.mode == "error" else None

    async def hold(self, target: str, *, abandoned: Callable[[], bool] = lambda: False) -> None:
        """Return when `target` doesn't hang, or doesn't any more, or nobody waits for it."""
        # Looked at again and again: no event tells that the clock, whichever it is, has moved on.
        while self.active(target) == "hang" and not abandoned():  # noqa: ASYNC110
            await asyncio.sleep(HANG_LOOK_SECONDS)

    def on_set(self, target: str, listener: Callable[[FaultMode], None]) -> None:
        """Call `listener` at once whenever `target` is broken."""
        self._listeners[target].append(listener)
