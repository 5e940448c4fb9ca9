"""Run the benchmarks one after another, then write what they found: `make bench`.

    python -m benchmarks.run [NAME ...]

Each is a process of its own. One that misses a goal or fails doesn't keep the others from running;
the exit code is 1 then. Ctrl-C ends the one that runs, and nothing is written.
"""

import os
import signal
import subprocess
import sys
import time

from rich.console import Console

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
    broken = [name for name in names if run(name) != 0]
    written = subprocess.run([sys.executable, "-m", "benchmarks.results"], check=False).returncode
    if broken:
        _say(f"a goal is missed, or it failed: {', '.join(broken)}", style="bold red")
    return int(bool(broken) or written != 0)


def run(name: str) -> int:
    """Run a benchmark to its end; return its exit code."""
    _say(f"\n[bold]{name}[/bold]")
    began = time.monotonic()
    # In a group of its own, so that Ctrl-C reaches it once and not its servers: it stops them.
    command = [sys.executable, "-m", f"benchmarks.{name}"]
    with subprocess.Popen(command, process_group=0) as process:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            _stop(process)
            raise
    _say(f"{name}: {time.monotonic() - began:.0f} s, exit code {code}")
    return code


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
