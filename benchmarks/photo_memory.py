"""What photos cost: time and peak memory of every file in tests/photos.py, and the limits held.

    python -m benchmarks.photo_memory

Each file is processed in a fresh interpreter. "+MiB" is the peak above what that process held when
it had imported Pillow and read the file. Exit code 1 when a limit is broken: the
12-megapixel camera JPEG under 100 MiB above import; every file under 1 s and 256 MiB in all.
Seconds are of processor time; a file over the limit is tried again, since the machine may be busy.
Linux only: the peak is VmHWM, because ru_maxrss survives fork and exec and so would show ours.
"""

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from tests import photos

CAMERA = "12 MP camera JPEG"
CAMERA_LIMIT_MIB = 100
LIMIT_MIB = 256
LIMIT_SECONDS = 1.0
_MORE_TRIES = 2
_ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Cost:
    """What one file came to; memory in MiB, `total` with interpreter and Pillow."""

    outcome: str
    seconds: float
    total: float
    above_import: float


def main() -> int:
    files = {CAMERA: ("image/jpeg", photos.camera_jpeg)} | photos.HOSTILE | photos.ODD
    over_limit = 0
    print(f"{'file':<40}{'MB':>7}{'s':>8}{'MiB':>7}{'+MiB':>7}  outcome")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photo"
        for name, (content_type, make) in files.items():
            path.write_bytes(make())
            cost = measure(path, content_type)
            for _ in range(_MORE_TRIES):
                if exceeds_limit(name, cost):
                    cost = measure(path, content_type)
            mark = "  <-- over the limit" if exceeds_limit(name, cost) else ""
            over_limit += bool(mark)
            print(
                f"{name:<40}{path.stat().st_size / 1e6:>7.2f}{cost.seconds:>8.3f}"
                f"{cost.total:>7.0f}{cost.above_import:>7.0f}  {cost.outcome}{mark}"
            )
    print(f"{over_limit} of {len(files)} files over a limit" if over_limit else "every limit holds")
    return 1 if over_limit else 0


def exceeds_limit(name: str, cost: Cost) -> bool:
    if name == CAMERA and cost.above_import >= CAMERA_LIMIT_MIB:
        return True
    return cost.seconds >= LIMIT_SECONDS or cost.total >= LIMIT_MIB


def measure(path: Path, content_type: str) -> Cost:
    """Have a fresh interpreter process the file."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.photo_memory", str(path), content_type],
        cwd=_ROOT,
        env={"PYTHONPATH": f"{_ROOT}:{_ROOT / 'functions'}"},
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    )
    return Cost(**json.loads(done.stdout))


def process(path: Path, content_type: str) -> Cost:
    """Process the file here and now."""
    # Only this process, not the one that prints the table, has functions/ on its path.
    from uploads.photo import PhotoRejected, render_variants  # noqa: PLC0415

    source = path.read_bytes()
    before = _resident_mib("VmRSS")
    started = time.process_time()
    try:
        variants = render_variants(source, content_type).values()
        outcome = ", ".join(
            f"{made.name} {made.width}x{made.height} {len(made.body) / 1000:.0f} KB"
            for made in variants
        )
    except PhotoRejected as rejection:
        outcome = rejection.reason
    seconds = time.process_time() - started
    peak = _resident_mib("VmHWM")
    return Cost(outcome, seconds, total=peak, above_import=peak - before)


def _resident_mib(field: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise LookupError(field)


if __name__ == "__main__":
    if sys.argv[1:]:
        print(json.dumps(asdict(process(Path(sys.argv[1]), sys.argv[2]))))
    else:
        sys.exit(main())
