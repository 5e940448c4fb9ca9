"""One benchmark as `benchmarks.run` starts it: told to end, it ends without a trace.

    python -m benchmarks.interruptible NAME [ARGUMENT ...]

SIGTERM is for it what Ctrl-C is elsewhere: what the benchmark has started it stops, since its
blocks are left. Exit code 130 then, the benchmark's own otherwise.
"""

import logging
import runpy
import signal
import sys
from types import FrameType

AGAIN_SECONDS = 0.01
SWALLOWED_SECONDS = 1.0


def main() -> None:
    """Run the benchmark as `python -m benchmarks.NAME` would."""
    name = sys.argv.pop(1)
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGALRM, _interrupt)
    runpy.run_module(f"benchmarks.{name}", run_name="__main__", alter_sys=True)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    import asyncio  # noqa: PLC0415 - not in the memory of benchmarks that don't need it

    if _is_ending():
        return
    # What is broken off says so, which is no news.
    logging.disable()
    sys.unraisablehook = lambda _: None
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        # Where it is raised in a callback of weakref's, it is lost.
        signal.setitimer(signal.ITIMER_REAL, SWALLOWED_SECONDS)
        raise KeyboardInterrupt from None
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        signal.raise_signal(signal.SIGINT)  # asyncio.run's, which cancels what it runs
    else:
        # Mangum's loop: it takes KeyboardInterrupt for a fault of the application, and goes on.
        signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)


def _is_ending() -> bool:
    """Whether blocks are being left because of an interruption."""
    error = sys.exception()
    while error and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.exit(130)
