"""The functions in worker processes, one event at a time in each, as in Lambda's environments.

Unlike there, a worker serves any function, so that two processors need no sixty processes; those
that a queue wakes have as many workers of their own, since there they keep nobody waiting.
"""

import asyncio
import importlib
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from tests.support.gateway import LambdaContext

REMAINING_MILLISECONDS = 120_000


class Call(NamedTuple):
    """What a call took, in milliseconds: by the clock, and of the processor."""

    waited: float
    worked: float


@dataclass
class Workers:
    """`calls` are those of each function, `sent` counts what was asked of AWS."""

    number: int
    log: Path
    modules: Sequence[str]
    calls: defaultdict[str, list[Call]] = field(default_factory=lambda: defaultdict(list))
    sent: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    running: int = 0

    def __post_init__(self) -> None:
        self._answering, self._woken = (
            ProcessPoolExecutor(
                self.number,
                # Nothing of this process: each starts as a function does.
                mp_context=get_context("spawn"),
                initializer=_begin,
                initargs=(str(self.log), self.modules),
            )
            for _ in range(2)
        )

    async def invoke(self, module: str, event: dict[str, Any], *, by_queue: bool = False) -> Any:
        """Have a function answer an event; what it raises is counted, and raised here."""
        pool = self._woken if by_queue else self._answering
        self.running += 1
        try:
            loop = asyncio.get_running_loop()
            result, call = await loop.run_in_executor(pool, _invoke, module, event)
        except Exception:
            self.errors[module] += 1
            raise
        finally:
            self.running -= 1
        self.calls[module].append(call)
        return result

    async def start(self) -> None:
        """Start the processes, and wait until they can work."""
        loop = asyncio.get_running_loop()
        # So long that each of them takes one.
        await asyncio.gather(
            *(
                loop.run_in_executor(pool, time.sleep, 0.5)
                for pool in (self._answering, self._woken)
                for _ in range(self.number)
            )
        )

    def megabytes(self) -> list[float]:
        """Return what memory each worker has now."""
        return [
            process.memory_info().rss / 1024**2
            for process in sorted(psutil.Process().children(), key=lambda child: child.pid)
            if any("spawn_main" in word for word in process.cmdline())
        ]

    def log_bytes(self) -> int:
        """Return how much the functions have written so far."""
        return self.log.stat().st_size

    def forget(self) -> None:
        """Count from zero."""
        self.calls.clear()
        self.sent.clear()
        self.errors.clear()

    def stop(self) -> None:
        for pool in (self._answering, self._woken):
            pool.shutdown(cancel_futures=True)


def _begin(log: str, modules: Sequence[str]) -> None:
    # Line by line, as several processes write; for as long as the process lives.
    sys.stdout = Path(log).open("a", buffering=1)  # noqa: SIM115
    # Cold starts are measured elsewhere.
    for module in modules:
        importlib.import_module(module)


def _invoke(module: str, event: dict[str, Any]) -> tuple[Any, Call]:
    handler = importlib.import_module(module).handler
    began, began_work = time.perf_counter(), time.process_time()
    result = handler(event, LambdaContext(REMAINING_MILLISECONDS))
    worked = (time.process_time() - began_work) * 1000
    return result, Call((time.perf_counter() - began) * 1000, worked)
