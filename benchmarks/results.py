"""What the benchmarks found: kept by each of them, and written as one page with pictures.

    python -m benchmarks.results

`publish` is how a benchmark ends: its section is printed, and kept in .build/bench/<name>.json with
the machine and the day. The command makes benchmarks/RESULTS.md and the pictures in
benchmarks/plots/ of what is kept, the same page of the same figures.
"""

import json
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table as TerminalTable

ROOT = Path(__file__).parents[1]
KEPT = ROOT / ".build/bench"
# Of what is measured and what it is measured against.
PACKAGES = (
    *("awslambdaric", "boto3", "fastapi", "firebase-admin", "locust", "mangum", "pg8000"),
    *("pillow", "psycopg", "pydantic", "pyvips", "sqlalchemy"),
)


@dataclass(frozen=True)
class Comparison:
    """One thing measured, run after run, and the same by an alternative where there is one.

    Attributes:
        what: "authorize", "12 MP JPEG".
        unit: "ms", "MiB", "posts/s", "requests".
        ours: One value a run, at least 5 where chance has a part in it.
        theirs: The alternative's, measured in the same run in turns; () where there is none.
        against: The alternative's name.
        goal: In words, "at most 0.30 of the reference"; "" where there is none.
        met: Whether the goal is met; None where there is none.
        more_is_better: As of posts a second.
        limits: One sentence that says what limits it, printed only where the goal isn't met.

    """

    what: str
    unit: str
    ours: Sequence[float]
    theirs: Sequence[float] = ()
    against: str = ""
    goal: str = ""
    met: bool | None = None
    more_is_better: bool = False
    limits: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours as a multiple of the alternative's, median by median; None without one, or of 0."""
        if not self.theirs or not (theirs := statistics.median(self.theirs)):
            return None
        return statistics.median(self.ours) / theirs

    @property
    def is_missed(self) -> bool:
        return self.met is not None and not self.met


@dataclass(frozen=True)
class Table:
    """What is no comparison: its cells are text already."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Section:
    """What one benchmark found.

    Attributes:
        name: Of the file and the command: python -m benchmarks.<name>.
        title: Its heading.
        intro: What is compared, and how, in plain sentences (Markdown).
        comparisons: Its figures.
        tables: What else there is.
        notes: What explains the figures, and what is not in them (Markdown).

    """

    name: str
    title: str
    intro: str
    comparisons: Sequence[Comparison] = ()
    tables: Sequence[Table] = ()
    notes: Sequence[str] = ()

    @property
    def missed(self) -> list[Comparison]:
        return [each for each in self.comparisons if each.is_missed]


@dataclass(frozen=True)
class Kept:
    """A section as it is kept: with where and when it was measured."""

    section: Section
    machine: str
    day: str
    versions: dict[str, str]


def publish(section: Section) -> int:
    """Print the section as tables and keep it; return 1 when a goal isn't met."""
    show(section)
    keep(Kept(section, machine(), datetime.now(UTC).date().isoformat(), versions()))
    return int(bool(section.missed))


def shown(values: Sequence[float]) -> tuple[str, str]:
    """Return the median and "least - most", in digits that fit; no spread where there is none."""
    median, least, most = statistics.median(values), min(values), max(values)
    size = abs(median)
    if size >= 100 or all(float(value).is_integer() for value in values):
        digits = 0
    else:
        digits = 1 if size >= 10 else 2 if size >= 1 else 3
    middle, low, high = (f"{value:,.{digits}f}" for value in (median, least, most))
    return middle, "" if low == high else f"{low} - {high}"


def cells(comparison: Comparison) -> list[str]:
    """Return the row of a comparison; `HEADER` names its cells."""
    theirs = shown(comparison.theirs) if comparison.theirs else ("", "")
    ratio = "" if comparison.ratio is None else f"{comparison.ratio:.2f}"
    verdict = "" if comparison.met is None else "yes" if comparison.met else "NO"
    what = f"{comparison.what}, {comparison.unit}" if comparison.unit else comparison.what
    return [
        what,
        *shown(comparison.ours),
        comparison.against,
        *theirs,
        ratio,
        comparison.goal,
        verdict,
    ]


HEADER = ("", "ours", "spread", "against", "median", "spread", "ours / theirs", "goal", "met")


def filled(rows: Sequence[Sequence[str]]) -> list[int]:
    """Return the places of the columns that aren't empty."""
    return [place for place in range(len(HEADER)) if any(row[place] for row in rows)]


def show(section: Section) -> None:
    """Print the section as tables for a terminal."""
    console = Console(width=None if sys.stdout.isatty() else 140)
    rows = [cells(comparison) for comparison in section.comparisons]
    if rows:
        places = filled(rows)
        table = TerminalTable(*(HEADER[place] for place in places), title=escape(section.title))
        for row, comparison in zip(rows, section.comparisons, strict=True):
            style = "bold red" if comparison.is_missed else ""
            table.add_row(*(escape(row[place]) for place in places), style=style)
        console.print(table)
    for missed in section.missed:
        if missed.limits:
            console.print(f"- {missed.what}: {missed.limits}", markup=False)
    for each in section.tables:
        table = TerminalTable(*map(escape, each.header), title=escape(each.caption))
        for cells_of_row in each.rows:
            table.add_row(*map(escape, cells_of_row))
        console.print(table)
    for note in section.notes:
        console.print(f"- {note}", markup=False)


def keep(kept: Kept) -> None:
    KEPT.mkdir(parents=True, exist_ok=True)
    path = KEPT / f"{kept.section.name}.json"
    path.write_text(json.dumps(asdict(kept), indent=1, default=_plain) + "\n")


def load() -> list[Kept]:
    """Return what is kept, in the order of `make bench`."""
    from benchmarks.run import BENCHMARKS  # noqa: PLC0415 - which runs those that import this

    order = {name: place for place, name in enumerate(BENCHMARKS)}
    found = [_kept(json.loads(path.read_text())) for path in sorted(KEPT.glob("*.json"))]
    return sorted(found, key=lambda kept: order.get(kept.section.name, len(order)))


def _kept(read: dict[str, Any]) -> Kept:
    section = dict(read["section"])
    section["comparisons"] = [Comparison(**each) for each in section["comparisons"]]
    section["tables"] = [Table(**each) for each in section["tables"]]
    return Kept(Section(**section), read["machine"], read["day"], read["versions"])


def _plain(value: Any) -> Any:
    """Turn numpy's numbers into Python's."""
    return value.item()


def machine() -> str:
    """Say what this machine is."""
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if "model name" in line), "")
    return (
        f"{os.cpu_count()} cores ({model or platform.machine()}), {gigabytes:.0f} GiB of memory,"
        f" {platform.system()} {platform.machine()}"
    )


def versions() -> dict[str, str]:
    """Return the version of Python and of each of `PACKAGES` that is installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def main() -> int:
    """Write the page and its pictures."""
    from benchmarks import charts, report  # noqa: PLC0415 - which need this module, or matplotlib

    found = load()
    if lacking := report.told() - {kept.section.name for kept in found}:
        # As in a fresh clone, where a part alone would make a page without all else.
        names = ", ".join(sorted(lacking))
        print(f"RESULTS.md stays as it was: not measured here yet: {names}", file=sys.stderr)
        return 0
    charts.draw([kept.section for kept in found])
    report.write(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
