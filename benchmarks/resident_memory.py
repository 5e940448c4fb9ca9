"""How much memory a process has, by Linux's own count."""

from pathlib import Path


def resident_mib(field: str, process_id: int | None = None) -> float:
    """Return MiB, of this process unless told: `VmRSS` is what it has now, `VmHWM` the most it had.

    Not ru_maxrss, which survives fork and exec and so would show the parent's.
    """
    status = Path("/proc") / str(process_id or "self") / "status"
    for line in status.read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise LookupError(field)
