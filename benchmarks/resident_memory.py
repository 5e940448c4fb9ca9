"""How much memory this process has, by Linux's own count."""

from pathlib import Path


def resident_mib(field: str) -> float:
    """Return MiB: `VmRSS` is what it has now, `VmHWM` the most it had.

    Not ru_maxrss, which survives fork and exec and so would show the parent's.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise LookupError(field)
