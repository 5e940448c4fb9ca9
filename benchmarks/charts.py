"""Pictures of the comparisons, as SVG: bars, ours above each alternative, with the spread.

Of the same figures the same bytes. Nothing is painted behind them, and what is written is of a grey
that can be read on white and on black, since GitHub shows the page on either.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.results import ROOT, Comparison, Section, shown

FOLDER = ROOT / "benchmarks/plots"
INK = "#7d8590"
OURS = "#2f81f7"
THEIRS = ("#c9822b", "#8a63d2", "#3c9a5f")
BAR_INCHES = 0.24
_STYLE = {
    "svg.fonttype": "none",  # letters stay letters, which keeps the files small
    "svg.hashsalt": "fieldgate",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial", "sans-serif"],
    "font.size": 9,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color"), INK),
    "ytick.color": INK,
}


@dataclass(frozen=True)
class Bar:
    """A bar: whose, and its value run after run."""

    who: str
    values: Sequence[float]


@dataclass(frozen=True)
class Panel:
    """What can stand on one axis: all of one unit, each thing with its bars."""

    unit: str
    more_is_better: bool
    groups: dict[str, list[Bar]]


def has_chart(section: Section) -> bool:
    """Whether there is anything to compare, which is what pictures are for."""
    return any(comparison.theirs for comparison in section.comparisons)


def panels(comparisons: Sequence[Comparison]) -> list[Panel]:
    """Return the comparisons that have an alternative, by unit, as bars."""
    found: dict[str, Panel] = {}
    for each in comparisons:
        if not each.theirs:
            continue
        panel = found.setdefault(each.unit, Panel(each.unit, each.more_is_better, {}))
        # The same thing against two alternatives is one bar of ours, and theirs below it.
        bars = panel.groups.setdefault(each.what, [Bar("ours", each.ours)])
        bars.append(Bar(each.against, each.theirs))
    return list(found.values())


def draw(sections: Sequence[Section]) -> None:
    """Write a picture for each section that compares, and remove those of no section."""
    FOLDER.mkdir(exist_ok=True)
    wanted = {f"{section.name}.svg": section for section in sections if has_chart(section)}
    for path in FOLDER.glob("*.svg"):
        if path.name not in wanted:
            path.unlink()
    for name, section in wanted.items():
        _draw(section, name)


def _draw(section: Section, name: str) -> None:
    import matplotlib as mpl  # noqa: PLC0415 - not among the dependencies of the tests
    from matplotlib.figure import Figure  # noqa: PLC0415

    drawn = panels(section.comparisons)
    heights = [
        sum(len(bars) + 0.8 for bars in panel.groups.values()) * BAR_INCHES + 0.75
        for panel in drawn
    ]
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(8, sum(heights)), layout="constrained")
        axes = figure.subplots(len(drawn), squeeze=False, height_ratios=heights)
        for panel, (axis,) in zip(drawn, axes, strict=True):
            _fill(axis, panel, _colors(drawn))
        figure.savefig(FOLDER / name, transparent=True, metadata={"Date": None, "Creator": None})
    # Matplotlib leaves spaces at the ends of lines.
    lines = (FOLDER / name).read_text().splitlines()
    (FOLDER / name).write_text("\n".join(line.rstrip() for line in lines) + "\n")


def _colors(drawn: Sequence[Panel]) -> dict[str, str]:
    names = dict.fromkeys(
        bar.who for panel in drawn for bars in panel.groups.values() for bar in bars[1:]
    )
    return {"ours": OURS} | {name: THEIRS[place % 3] for place, name in enumerate(names)}


def _fill(axis: Any, panel: Panel, colors: dict[str, str]) -> None:
    """Draw the bars of a panel, from the top downwards."""
    place, ticks, labelled = 0.0, [], set()
    most = max(max(bar.values) for bars in panel.groups.values() for bar in bars)
    for bars in panel.groups.values():
        ticks.append(place + (len(bars) - 1) / 2)
        for bar in bars:
            median = statistics.median(bar.values)
            spread = [[median - min(bar.values)], [max(bar.values) - median]]
            axis.barh(
                place,
                median,
                height=0.86,
                color=colors[bar.who],
                label="" if bar.who in labelled else bar.who,
                xerr=spread,
                error_kw={"ecolor": INK, "elinewidth": 1, "capsize": 2},
            )
            right = max(bar.values) + most * 0.01
            axis.text(right, place, shown(bar.values)[0], va="center", fontsize=8)
            labelled.add(bar.who)
            place += 1
        place += 0.8
    axis.set_yticks(ticks, panel.groups)
    axis.set_xlim(0, most * 1.12)
    axis.xaxis.set_major_formatter("{x:,.9g}")
    axis.invert_yaxis()
    better = "more is better" if panel.more_is_better else "less is better"
    axis.set_xlabel(f"{panel.unit} ({better})")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8, loc="lower right", bbox_to_anchor=(1, 1), ncols=4)
