import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import charts, report, results
from benchmarks.results import Comparison, Kept, Section, Table, publish, shown

FASTER = Comparison(
    "authorize",
    "ms",
    ours=[30, 20, 25, 21, 90],
    theirs=[100, 110, 90, 100, 100],
    against="the reference",
    goal="at most 0.30 of the reference",
    met=True,
)
SECTION = Section("cold_start", "Cold starts, by function", "Ours | theirs.", [FASTER], [], [])


def kept(section: Section, day: str = "2026-03-02") -> Kept:
    return Kept(section, "2 cores", day, {"python": "3.13.9"})


@pytest.mark.parametrize(
    ("values", "median", "spread"),
    [
        ([3, 1, 2], "2", "1 - 3"),
        ([1234.5, 1200.1, 1300.9], "1,234", "1,200 - 1,301"),
        ([12.34, 11.06], "11.7", "11.1 - 12.3"),
        ([1.234, 1.001, 2.5], "1.23", "1.00 - 2.50"),
        ([0.12345], "0.123", ""),
        ([0, 0, 0], "0", ""),
    ],
)
def test_values_are_shown_by_median_and_spread(
    values: list[float], median: str, spread: str
) -> None:
    assert shown(values) == (median, spread)


def test_the_ratio_is_that_of_the_medians() -> None:
    assert FASTER.ratio == 0.25
    assert replace(FASTER, theirs=()).ratio is None
    assert replace(FASTER, theirs=[0, 0]).ratio is None


def test_a_goal_that_is_not_met_is_an_exit_code_and_stands_on_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(results, "KEPT", tmp_path)
    missed = replace(FASTER, what="send_otp", met=False)

    assert publish(SECTION) == 0
    assert publish(replace(SECTION, comparisons=[replace(FASTER, met=None)])) == 0
    assert publish(replace(SECTION, comparisons=[FASTER, missed])) == 1

    assert "NO" in capsys.readouterr().out
    page = report.page(results.load())
    assert "1 of 2 goals are met." in page
    assert (
        "- **not met**: [Cold starts, by function](#cold-starts-by-function), send_otp: at most"
        " 0.30 of the reference" in page
    )
    assert (
        "| send_otp, ms | 25 | 20 - 90 | the reference | 100 | 90 - 110 | 0.25"
        " | at most 0.30 of the reference | **no** |" in page
    )


def test_what_limits_a_figure_is_printed_only_where_its_goal_is_not_met(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(results, "KEPT", tmp_path)
    sentence = "It waits for the disk."
    met, missed = replace(FASTER, limits=sentence), replace(FASTER, limits=sentence, met=False)

    publish(replace(SECTION, comparisons=[met]))
    assert sentence not in capsys.readouterr().out + report.page(results.load())

    publish(replace(SECTION, comparisons=[missed]))
    assert f"- authorize: {sentence}" in capsys.readouterr().out
    assert f"at most 0.30 of the reference. {sentence}\n" in report.page(results.load())


def test_a_part_alone_leaves_a_page_of_more_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(results, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(report, "PAGE", tmp_path / "RESULTS.md")
    report.write([kept(SECTION), kept(replace(SECTION, name="images"))])
    before = report.PAGE.read_text()
    publish(SECTION)
    assert results.main() == 0
    assert report.PAGE.read_text() == before
    assert "not measured here yet: images" in capsys.readouterr().err


def test_what_is_kept_is_read_as_it_was_in_the_order_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "KEPT", tmp_path)
    table = Table("Where", ["a", "b"], [["1", "x|y"]])
    push = Section("push", "Push", "Sent.", [], [table], ["TLS is not in it."])
    for section in (push, SECTION):
        results.keep(kept(section))

    first, second = results.load()

    assert (first.section, first.day, first.machine) == (SECTION, "2026-03-02", "2 cores")
    assert second.section == push


def test_numbers_of_numpy_are_kept_as_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class OfNumpy:
        def item(self) -> bool:
            return True

    monkeypatch.setattr(results, "KEPT", tmp_path)
    met: bool = OfNumpy()  # type: ignore[assignment]
    results.keep(kept(replace(SECTION, comparisons=[replace(FASTER, met=met)])))

    read = json.loads((tmp_path / "cold_start.json").read_text())
    assert read["section"]["comparisons"][0]["met"] is True


def test_the_page_leaves_out_columns_that_nobody_fills_and_says_where_it_was_measured() -> None:
    alone = Comparison("answer", "s", ours=[0.5])
    table = Table("Where", ["a", "b"], [["1", "x|y"]])
    section = Section("relay", "Relay", "Intro.", [alone], [table], ["A note."])

    page = report.page([kept(section), kept(SECTION, day="2026-03-03")])

    assert "|  | ours |\n|---|---|\n| answer, s | 0.500 |" in page
    assert "**Where**\n\n| a | b |\n|---|---|\n| 1 | x\\|y |" in page
    assert "- A note." in page
    assert "- 2 cores, 2026-03-02: relay\n- 2 cores, 2026-03-03: cold_start\n" in page
    assert "1 of 1 goals are met." in page
    assert "![Cold starts, by function](plots/cold_start.svg)" in page
    assert "relay.svg" not in page


def test_a_picture_has_an_axis_for_each_unit_and_one_bar_for_what_is_compared_twice() -> None:
    naive = Comparison("12 MP", "ms", ours=[5], theirs=[20], against="naive")
    alone = Comparison("48 MP", "ms", ours=[9])
    memory = Comparison("12 MP", "MiB", ours=[40], theirs=[90], against="naive")

    drawn = charts.panels([naive, replace(naive, theirs=[6], against="pyvips"), alone, memory])

    assert [panel.unit for panel in drawn] == ["ms", "MiB"]
    (bars,) = drawn[0].groups.values()
    assert [(bar.who, list(bar.values)) for bar in bars] == [
        ("ours", [5]),
        ("naive", [20]),
        ("pyvips", [6]),
    ]
