"""What others wrote is shown as text, and a terminal obeys none of it."""

import io

import pytest

from fieldgate_client.errors import ApiError
from fieldgate_client.outbox import Entry
from fieldgate_client.progress_bar import ProgressBar
from fieldgate_client.terminal import Terminal, shown
from tests.client.test_progress_bar import ENTRY, so_far

NAME = "\x1b]0;owned\x07\x1b[2J\nSent: all.txt\u202efdp.exe\ud800"
AS_TEXT = r"\x1b]0;owned\x07\x1b[2J\nSent: all.txt\u202efdp.exe\ud800"


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("leaf (2).pdf", "leaf (2).pdf"),
        ("pünktliche Blätter 葉 🌱", "pünktliche Blätter 葉 🌱"),
        ("[red]leaf", "[red]leaf"),
        ("a\r\nb\tc", r"a\r\nb\tc"),
        ("\x9b31m", r"\x9b31m"),
        ("\u2066a\u2069\u200f", r"\u2066a\u2069\u200f"),
        ("\u2028", r"\u2028"),
        (NAME, AS_TEXT),
    ],
)
def test_what_cannot_be_seen_is_written_out(text: str, seen: str) -> None:
    assert shown(text) == seen


def said(*, terminal: bool) -> str:
    out = Terminal(file=io.StringIO(), force_terminal=terminal, width=200)
    entry = Entry(**vars(ENTRY) | {"path": f"/photos/{NAME}"})
    with ProgressBar(out, lambda upload: None) as bar:
        bar.progress(entry, so_far())
        bar.ended(entry, None)
        bar.ended(entry, NAME)
        bar.waiting(ApiError(503, "UNAVAILABLE", NAME))
    out.print(f"Sent before: {NAME}")
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


def test_each_event_is_one_line_without_escapes() -> None:
    lines = said(terminal=False).splitlines()

    assert len(lines) == 4
    assert all(AS_TEXT in line and line.isprintable() for line in lines)


def test_a_bar_is_no_way_around_it() -> None:
    shown_there = said(terminal=True)

    assert AS_TEXT in shown_there
    assert "\x1b]0;" not in shown_there
    assert "\u202e" not in shown_there
