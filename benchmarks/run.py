"""Run the benchmarks one after another, then write what they found: `make bench`.

    python -m benchmarks.run [NAME ...]

Each is a process of its own. One that misses a goal or fails doesn't keep the others from running;
the exit code is 1 then. Ctrl-C ends the one that runs: what the others found is kept, the page is
as it was, and the exit code is 130.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from rich.console import Console

from benchmarks.results import KEPT

# In the order of the page.
BENCHMARKS = (
    "cold_start",
    "warm_request",
    "memory_sizes",
    "images",
    "photo_memory",
    "uploads",
    "fan_out",
    "push",
    "notifications",
    "database",
    "relay",
    "realtime",
    "realtime_costs",
    "cached_permissions",
    "expiry_alerts",
    "load",
    "costs",
)
STOP_SECONDS = 60
_say = Console(stderr=True, highlight=False).print


def main() -> int:
    names = sys.argv[1:] or list(BENCHMARKS)
    if unknown := set(names) - set(BENCHMARKS):
        _say(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
        return 2
    began = time.time()
    try:
        return _run_all(names)
    except KeyboardInterrupt:
        _say(interrupted(names, kept_since(began, names)), soft_wrap=True, markup=False)
        return 130


def _run_all(names: Sequence[str]) -> int:
    broken = [name for name in names if run(name) != 0]
    written = subprocess.run([sys.executable, "-m", "benchmarks.results"], check=False).returncode
    if broken:
        _say(f"a goal is missed, or it failed: {', '.join(broken)}", style="bold red")
    return int(bool(broken) or written != 0)


def kept_since(began: float, names: Sequence[str]) -> list[str]:
    """Return which of the benchmarks have kept what they found since, in seconds of the epoch."""
    paths = {name: KEPT / f"{name}.json" for name in names}
    return [name for name, path in paths.items() if path.exists() and path.stat().st_mtime >= began]


def interrupted(names: Sequence[str], kept: Sequence[str]) -> str:
    """Say in a line what is kept, and how to go on."""
    left = [name for name in names if name not in kept]
    found = f"kept: {', '.join(kept)}" if kept else "nothing new is kept"
    go_on = f'ONLY="{" ".join(left)}" make bench' if left else "python -m benchmarks.results"
    return f"Interrupted; {found}; RESULTS.md is as it was. To go on: {go_on}"


def run(name: str) -> int:
    """Run a benchmark to its end; return its exit code."""
    _say(f"\n[bold]{name}[/bold]")
    began = time.monotonic()
    # In a group of its own, so that Ctrl-C reaches it once and not its servers: it stops them.
    command = [sys.executable, "-m", "benchmarks.interruptible", name]
    with subprocess.Popen(command, process_group=0) as process:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            _stop(process)
            raise
    _say(f"{name}: {time.monotonic() - began:.0f} s, exit code {code}")
    return code


def _stop(process: subprocess.Popen[bytes]) -> None:
    # Whoever is impatient would leave servers running, and folders behind.
    impatient = signal.signal(signal.SIGINT, signal.SIG_IGN)
    process.terminate()
    try:
        process.wait(timeout=STOP_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    finally:
        # What a command that was ended half-way has left.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        signal.signal(signal.SIGINT, impatient)


if __name__ == "__main__":
    sys.exit(main())
