"""What photos cost: time and peak memory of every file in tests/photos.py, and the limits held.

    python -m benchmarks.photo_memory

Each file is processed in a fresh interpreter. "+MiB" is the peak above what that process held when
it had imported Pillow and read the file. Exit code 1 when a limit is broken: the
12-megapixel camera JPEG under 100 MiB above import; every file under 1 s and 256 MiB in all. The
large ones are processed again at the far end of what admins may set (the largest pictures at the
best quality, and with the fewest bytes, so that many are tried): under 15 s and 640 MiB.
Seconds are of processor time; a file over the limit is tried again, since the machine may be busy.
Linux only: the peak is VmHWM, because ru_maxrss survives fork and exec and so would show ours.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests import photos

if TYPE_CHECKING:
    from uploads.variant_forms import Forms

CAMERA = "12 MP camera JPEG"
CAMERA_LIMIT_MIB = 100
LIMIT_MIB = 256
LIMIT_SECONDS = 1.0
# Of the function's 1,024 MB and 55 s, of a processor half as fast.
FAR_LIMIT_MIB = 640
FAR_LIMIT_SECONDS = 15.0
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
    large = {name: file for name, file in files.items() if " MP " in name}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photo"
        print(f"{'file':<40}{'MB':>7}{'s':>8}{'MiB':>7}{'+MiB':>7}  outcome")
        over_limit = sum(is_over(path, name, *file) for name, file in files.items())
        print("At the far end of what admins may set:")
        over_limit += sum(is_over(path, name, *file, far=True) for name, file in large.items())
    number = len(files) + len(large)
    print(f"{over_limit} of {number} over a limit" if over_limit else "every limit holds")
    return 1 if over_limit else 0


def is_over(
    path: Path, name: str, content_type: str, make: Callable[[], bytes], *, far: bool = False
) -> bool:
    """Measure a file, show what it came to, and say whether that is more than allowed."""
    path.write_bytes(make())
    cost = measure(path, content_type, far=far)
    for _ in range(_MORE_TRIES):
        if exceeds_limit(name, cost, far=far):
            cost = measure(path, content_type, far=far)
    over = exceeds_limit(name, cost, far=far)
    print(
        f"{name:<40}{path.stat().st_size / 1e6:>7.2f}{cost.seconds:>8.3f}"
        f"{cost.total:>7.0f}{cost.above_import:>7.0f}  {cost.outcome}"
        + ("  <-- over the limit" if over else "")
    )
    return over


def exceeds_limit(name: str, cost: Cost, *, far: bool) -> bool:
    if far:
        return cost.seconds >= FAR_LIMIT_SECONDS or cost.total >= FAR_LIMIT_MIB
    if name == CAMERA and cost.above_import >= CAMERA_LIMIT_MIB:
        return True
    return cost.seconds >= LIMIT_SECONDS or cost.total >= LIMIT_MIB


def measure(path: Path, content_type: str, *, far: bool) -> Cost:
    """Have a fresh interpreter process the file."""
    forms = ["far"] if far else []
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.photo_memory", str(path), content_type, *forms],
        cwd=_ROOT,
        env={"PYTHONPATH": f"{_ROOT}:{_ROOT / 'functions'}:{_ROOT / 'layers/common'}"},
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    )
    return Cost(**json.loads(done.stdout))


def process(path: Path, content_type: str, *, far: bool = False) -> Cost:
    """Process the file here and now."""
    # Only this process, not the one that prints the table, has functions/ on its path.
    from uploads.photo import PhotoRejected, render_variants  # noqa: PLC0415
    from uploads.variant_forms import Forms  # noqa: PLC0415

    forms = far_forms() if far else Forms()
    source = path.read_bytes()
    before = _resident_mib("VmRSS")
    started = time.process_time()
    try:
        made = render_variants(source, content_type, forms).values()
        outcome = ", ".join(
            f"{variant.name} {variant.width}x{variant.height} {len(variant.body) / 1000:.0f} KB"
            for variant in made
        )
    except PhotoRejected as rejection:
        outcome = rejection.reason
    seconds = time.process_time() - started
    peak = _resident_mib("VmHWM")
    return Cost(outcome, seconds, total=peak, above_import=peak - before)


def far_forms() -> "Forms":
    """Return what costs most of what the registry allows."""
    from fieldgate.configuration import REGISTRY  # noqa: PLC0415
    from uploads.variant_forms import Form, Forms  # noqa: PLC0415

    side, quality = (int(REGISTRY[f"AI_IMAGE_{name}"].most) for name in ("MAX_WIDTH", "QUALITY"))
    most_bytes = int(REGISTRY["AI_IMAGE_MAX_SIZE_MB"].least * 1_000_000)
    return Forms(Form((side, side), quality), Form((side, side), quality, most_bytes))


def _resident_mib(field: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise LookupError(field)


if __name__ == "__main__":
    if sys.argv[1:]:
        cost = process(Path(sys.argv[1]), sys.argv[2], far=sys.argv[3:] == ["far"])
        print(json.dumps(asdict(cost)))
    else:
        sys.exit(main())
