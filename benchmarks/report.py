"""benchmarks/RESULTS.md, made of what the benchmarks kept; `python -m benchmarks.results`."""

import re
from collections.abc import Sequence

from benchmarks.charts import FOLDER, has_chart
from benchmarks.results import HEADER, ROOT, Comparison, Kept, Section, cells, filled

PAGE = ROOT / "benchmarks/RESULTS.md"
_HEAD = """\
# What the benchmarks found

Made by `make bench`, which runs all of them and writes this page. The command under a heading runs
that one again, `ONLY="push images" make bench` two of them; in a fresh clone the page stays as it
is until all were run there. Figures are medians of the runs, with the least and the most; "ours /
theirs" is one median through the other. What is compared was measured in the same run on the same
machine, in turns.
"""


def write(found: Sequence[Kept]) -> None:
    PAGE.write_text(page(found))


def told() -> set[str]:
    """Return the names of the benchmarks that the page has now."""
    text = PAGE.read_text() if PAGE.exists() else ""
    return set(re.findall(r"^`ONLY=(\w+) make bench`$", text, re.MULTILINE))


def page(found: Sequence[Kept]) -> str:
    """Return the page: the machine, the goals, and each section."""
    sections = [kept.section for kept in found]
    parts = [_HEAD, _measured(found), _goals(sections), *(_section(each) for each in sections)]
    return "\n".join(part for part in parts if part)


def _measured(found: Sequence[Kept]) -> str:
    places: dict[tuple[str, str], list[str]] = {}
    versions: dict[str, str] = {}
    for kept in found:
        places.setdefault((kept.machine, kept.day), []).append(kept.section.name)
        versions |= kept.versions
    where = [
        f"- {machine}, {day}" + ("" if len(places) == 1 else f": {', '.join(names)}")
        for (machine, day), names in places.items()
    ]
    said = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    return "\n".join([*where, f"- {said}", ""])


def _goals(sections: Sequence[Section]) -> str:
    goals = [each for section in sections for each in section.comparisons if each.met is not None]
    missed = [(section, each) for section in sections for each in section.missed]
    if not goals:
        return ""
    lines = [
        f"- **not met**: [{section.title}](#{_anchor(section.title)}), {each.what}: {each.goal}"
        + (f". {each.limits}" if each.limits else "")
        for section, each in missed
    ]
    said = f"{len(goals) - len(missed)} of {len(goals)} goals are met."
    return "\n".join([said, "", *lines, ""] if lines else [said, ""])


def _section(section: Section) -> str:
    parts = [f"## {section.title}", section.intro, f"`ONLY={section.name} make bench`"]
    if section.comparisons:
        parts.append(_comparisons(section.comparisons))
    if has_chart(section):
        parts.append(f"![{section.title}]({FOLDER.name}/{section.name}.svg)")
    for table in section.tables:
        parts += [f"**{table.caption}**"] if table.caption else []
        parts.append(_table(table.header, table.rows))
    if section.notes:
        parts.append("\n".join(f"- {note}" for note in section.notes))
    return "\n\n".join(parts) + "\n"


def _comparisons(comparisons: Sequence[Comparison]) -> str:
    rows = [cells(comparison) for comparison in comparisons]
    for row, comparison in zip(rows, comparisons, strict=True):
        if comparison.is_missed:
            row[-1] = "**no**"
    places = filled(rows)
    header = [HEADER[place] for place in places]
    return _table(header, [[row[place] for place in places] for row in rows])


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [_line(header), "|---" * len(header) + "|", *(_line(row) for row in rows)]
    return "\n".join(lines)


def _line(row: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"


def _anchor(title: str) -> str:
    """Return what GitHub calls a heading in a link."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
