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
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from benchmarks.resident_memory import resident_mib
from benchmarks.results import Comparison, Section, Table, publish
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


@dataclass(frozen=True)
class Measured:
    """A file, its size in MB, and what it came to."""

    name: str
    megabytes: float
    cost: Cost
    is_over: bool

    def cells(self) -> list[str]:
        of = self.cost
        figures = f"{of.seconds:.3f}", f"{of.total:,.0f}", f"{of.above_import:,.0f}"
        outcome = of.outcome + (" (over a limit)" if self.is_over else "")
        return [self.name, f"{self.megabytes:.2f}", *figures, outcome]


HEADER = ("file", "MB", "s", "MiB in all", "MiB above import", "outcome")
INTRO = """
Each file of `tests/photos.py`, good, odd and hostile, through `render_variants` in a new process,
with the variants that are usual; the large ones again at the far end of what admins may set: the
largest pictures at the best quality, and with the fewest bytes, so that many are tried. Seconds are
of the processor. A file that is over a limit is tried twice more.
"""
_say = Console(stderr=True, highlight=False).print


def main() -> int:
    files = {CAMERA: ("image/jpeg", photos.camera_jpeg)} | photos.HOSTILE | photos.ODD
    large = {name: file for name, file in files.items() if " MP " in name}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photo"
        usual = [measured(path, name, *file) for name, file in files.items()]
        _say("At the far end of what admins may set:")
        far = [measured(path, name, *file, far=True) for name, file in large.items()]
    return publish(section(usual, far))


def measured(
    path: Path, name: str, content_type: str, make: Callable[[], bytes], *, far: bool = False
) -> Measured:
    """Measure a file, again when it is over a limit, and show what it came to."""
    path.write_bytes(make())
    cost = measure(path, content_type, far=far)
    for _ in range(_MORE_TRIES):
        if exceeds_limit(name, cost, far=far):
            cost = measure(path, content_type, far=far)
    over = exceeds_limit(name, cost, far=far)
    found = Measured(name, path.stat().st_size / 1e6, cost, over)
    _say("  ".join(found.cells()))
    return found


def section(usual: Sequence[Measured], far: Sequence[Measured]) -> Section:
    camera = usual[0].cost

    def most(files: Sequence[Measured], figure: str, unit: str, limit: float) -> Comparison:
        worst = max(getattr(each.cost, figure) for each in files)
        where = "" if files is usual else ", at the far end"
        what = {"seconds": "time of the slowest file", "total": "memory of the largest process"}
        goal = f"below {limit:g} {unit}"
        return Comparison(what[figure] + where, unit, [worst], goal=goal, met=worst < limit)

    return Section(
        name="photo_memory",
        title="Photos that are odd or hostile",
        intro=INTRO.strip(),
        comparisons=[
            Comparison(
                f"{CAMERA}, memory above import",
                "MiB",
                [camera.above_import],
                goal=f"below {CAMERA_LIMIT_MIB} MiB",
                met=camera.above_import < CAMERA_LIMIT_MIB,
            ),
            most(usual, "seconds", "s", LIMIT_SECONDS),
            most(usual, "total", "MiB", LIMIT_MIB),
            most(far, "seconds", "s", FAR_LIMIT_SECONDS),
            most(far, "total", "MiB", FAR_LIMIT_MIB),
        ],
        tables=[
            Table("Each file", HEADER, [each.cells() for each in usual]),
            Table("At the far end", HEADER, [each.cells() for each in far]),
        ],
    )


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
    before = resident_mib("VmRSS")
    started = time.process_time()
    try:
        made = render_variants(source, content_type, forms).values()
        outcome = ", ".join(
            f"{variant.name} {variant.width}x{variant.height} {len(variant.body) / 1000:,.0f} KB"
            for variant in made
        )
    except PhotoRejected as rejection:
        outcome = rejection.reason
    seconds = time.process_time() - started
    peak = resident_mib("VmHWM")
    return Cost(outcome, seconds, total=peak, above_import=peak - before)


def far_forms() -> "Forms":
    """Return what costs most of what the registry allows."""
    from fieldgate.configuration import REGISTRY  # noqa: PLC0415
    from uploads.variant_forms import Form, Forms  # noqa: PLC0415

    side, quality = (int(REGISTRY[f"AI_IMAGE_{name}"].most) for name in ("MAX_WIDTH", "QUALITY"))
    most_bytes = int(REGISTRY["AI_IMAGE_MAX_SIZE_MB"].least * 1_000_000)
    return Forms(Form((side, side), quality), Form((side, side), quality, most_bytes))


if __name__ == "__main__":
    if sys.argv[1:]:
        cost = process(Path(sys.argv[1]), sys.argv[2], far=sys.argv[3:] == ["far"])
        print(json.dumps(asdict(cost)))
    else:
        sys.exit(main())
