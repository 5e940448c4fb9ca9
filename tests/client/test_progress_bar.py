"""What is shown of the sending."""

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from fieldgate_client.errors import NetworkError, UploadBusy
from fieldgate_client.outbox import Entry
from fieldgate_client.progress import Progress
from fieldgate_client.progress_bar import ProgressBar, details
from tests.client.offline_queue.phone import MONDAY

ENTRY = Entry(
    id=1,
    upload="1",
    method=None,
    path="/photos/[red]leaf.pdf",
    body=None,
    idempotency_key="k",
    after=None,
    created_at=MONDAY,
    first_sent_at=None,
    attempts=0,
    reason=None,
    set_aside=False,
)


def so_far(
    speed: float | None = None,
    remaining: float | None = None,
    retries: int = 0,
    acknowledged: int = 1 << 20,
) -> Progress:
    return Progress(
        size=2 << 20,
        acknowledged=acknowledged,
        sent=1 << 20,
        resent_bytes=0,
        retries=retries,
        speed=speed,
        remaining=remaining,
    )


@pytest.mark.parametrize(
    ("progress", "shown"),
    [
        (so_far(), ""),
        (so_far(retries=1), "1 retry"),
        (so_far(65_536.4, 16.2, 2), "64.0 KiB/s, 0:16 left, 2 retries"),
        (so_far(1_572_864.0, 1.0), "1.5 MiB/s, 0:01 left"),
        (so_far(120.0, 3725.0), "120 bytes/s, 62:05 left"),
        (so_far(1024.0, 0.0, 1, acknowledged=2 << 20), "being put together, 1 retry"),
    ],
)
def test_speed_time_left_and_retries_are_told_as_far_as_there_are_any(
    progress: Progress, shown: str
) -> None:
    assert details(progress) == shown


def shown(*steps: Callable[[ProgressBar], None], terminal: bool) -> str:
    out = Console(file=io.StringIO(), force_terminal=terminal, width=120, markup=False)
    with ProgressBar(out, lambda upload: f"of {upload}") as bar:
        for step in steps:
            step(bar)
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


def goes_on(bar: ProgressBar) -> None:
    bar.progress(ENTRY, so_far(1024.0, 1024.0))


def waits(bar: ProgressBar) -> None:
    bar.waiting(NetworkError("the network is gone"))


def is_busy(bar: ProgressBar) -> None:
    bar.waiting(UploadBusy("another process sends"))


def arrives(bar: ProgressBar) -> None:
    bar.ended(ENTRY, None)


def is_set_aside(bar: ProgressBar) -> None:
    bar.ended(ENTRY, "TYPE_MISMATCH")


def test_elsewhere_than_on_a_terminal_there_is_a_line_for_each_event() -> None:
    assert shown(goes_on, waits, arrives, is_set_aside, terminal=False).splitlines() == [
        "Waiting: the network is gone",
        "Sent: /photos/[red]leaf.pdf (media of 1)",
        "Set aside (1): /photos/[red]leaf.pdf: TYPE_MISMATCH",
    ]


def test_what_is_waited_for_is_said_once() -> None:
    said = shown(waits, waits, is_busy, is_busy, waits, arrives, waits, terminal=False)

    assert said.splitlines() == [
        "Waiting: the network is gone",
        "Waiting: another process sends",
        "Waiting: the network is gone",
        "Sent: /photos/[red]leaf.pdf (media of 1)",
        "Waiting: the network is gone",
    ]


def test_on_a_terminal_there_is_a_bar_and_a_name_is_only_a_name() -> None:
    said = shown(goes_on, terminal=True)

    assert "/2.0 MiB" in said
    assert "[red]leaf.pdf" in said
    assert "1.0 KiB/s, 17:04 left" in said


def test_who_waits_has_no_speed() -> None:
    last = shown(goes_on, waits, terminal=True).rpartition("leaf.pdf")[2]

    assert "waiting" in last
    assert "/s" not in last
