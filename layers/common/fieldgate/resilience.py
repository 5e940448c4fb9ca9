"""Calling vendors: another quick try of what failed at once, and none while their circuit is open.

Time-outs are each adapter's own, as only it knows what it waits for. What is worth a try after a
longer pause goes back to its queue (fieldgate.queues). AWS's own services have botocore's time-outs
and its standard mode of retries. (docs/decisions/0019-resilience-kit.md)
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from fieldgate import deadline
from fieldgate.circuit_breaker import CircuitBreaker

FIRST_PAUSE_SECONDS = 0.1


@dataclass(frozen=True)
class Tries:
    """How often something is tried that raises one of `on`: within `seconds`, and not after.

    The pauses grow from a tenth of a second to `longest_pause`, and are spread.
    """

    on: tuple[type[Exception], ...]
    attempts: int = 2
    seconds: float = 1
    longest_pause: float = 0.2


class CircuitOpen(Exception):
    """The vendor is left alone for now; it was not called."""


@dataclass
class Vendor:
    """How one vendor is called.

    What is of `answers` shows that the vendor works, whatever it said; what is of `failures` counts
    for the circuit, unless it is of `uncalled`: raised before the vendor was. Anything else says
    nothing of the vendor.
    """

    name: str
    tries: Tries
    failures: tuple[type[Exception], ...]
    answers: tuple[type[Exception], ...] = ()
    uncalled: tuple[type[Exception], ...] = ()
    breaker: CircuitBreaker = field(init=False)

    def __post_init__(self) -> None:
        """Find the vendor's circuit."""
        self.breaker = CircuitBreaker(self.name)

    def call[T](self, work: Callable[[], T]) -> T:
        """Return what `work` does, tried again where that may help at once.

        Raises:
            CircuitOpen: it was not called.
            Exception: what the last try raised.

        """
        if not self.breaker.lets_through():
            raise CircuitOpen(self.name)
        try:
            result = tried(self.tries, work)
        except self.uncalled:
            raise
        except self.answers:
            self.breaker.succeeded()
            raise
        except self.failures:
            self.breaker.failed()
            raise
        self.breaker.succeeded()
        return result


def tried[T](tries: Tries, work: Callable[[], T]) -> T:
    """Do `work` until it no longer raises one of `tries.on`, as often as they say.

    Raises:
        Unavailable: the deadline was over before the first try.
        Exception: what the last try raised.

    """
    from stamina import retry_context
    from stamina.instrumentation import set_on_retry_hooks

    set_on_retry_hooks([])  # Our log is the last error's.
    ends = time.monotonic() + min(tries.seconds, deadline.seconds_left())

    def may_help(error: Exception) -> bool:
        # stamina's own limit looks before the pause only, and would begin a try after the end.
        return isinstance(error, tries.on) and time.monotonic() + tries.longest_pause <= ends

    for attempt in retry_context(
        on=may_help,
        attempts=tries.attempts,
        timeout=None,
        wait_initial=min(FIRST_PAUSE_SECONDS, tries.longest_pause),
        wait_max=tries.longest_pause,
        wait_jitter=tries.longest_pause / 2,
    ):
        with attempt:
            return work()
    raise AssertionError("unreachable")  # the last attempt's error was raised
