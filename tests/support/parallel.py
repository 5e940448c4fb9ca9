"""Work that begins everywhere at once."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from fieldgate.http import app


def at_once[T](number: int, work: Callable[[int], T]) -> list[T]:
    """Run `work(0)` to `work(number - 1)`, each in a thread, and return what they return.

    They may call functions, of which each thread then is an environment of its own.
    """
    gate = threading.Barrier(number)

    def run(index: int) -> T:
        gate.wait(30)
        try:
            return work(index)
        finally:
            # An environment keeps its loop for good; here that would be for the garbage collector.
            if loop := vars(app._of_this_thread).pop("loop", None):
                loop.close()

    with ThreadPoolExecutor(number) as threads:
        return list(threads.map(run, range(number)))
