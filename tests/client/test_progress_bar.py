"""What is shown of the sending."""

import io

import pytest
from rich.console import Console

from fieldgate_client.errors import NetworkError
from fieldgate_client.outbox import Entry
from fieldgate_client.progress import Progress
from fieldgate_client.progress_bar import ProgressBar, details
from tests.client.test_offline_queue import MONDAY

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
    speed: float | None = None, remaining: float | None = None, retries: int = 0
) -> Progress:
    return Progress(
        size=2 << 20,
        acknowledged=1 << 20,
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
        (so_far(65_536.4, 16.2, 2), "65.5 kB/s, 0:16 left, 2 retries"),
        (so_far(120.0, 3725.0), "120 bytes/s, 62:05 left"),
    ],
)
def test_speed_time_left_and_retries_are_told_as_far_as_there_are_any(
    progress: Progress, shown: str
) -> None:
    assert details(progress) == shown


def shown(*, terminal: bool) -> str:
    out = Console(file=io.StringIO(), force_terminal=terminal, width=120, markup=False)
    with ProgressBar(out) as bar:
        bar.progress(ENTRY, so_far(1000.0, 1049.0))
        bar.waiting(NetworkError("the network is gone"))
        bar.ended(ENTRY, None)
        bar.ended(ENTRY, "TYPE_MISMATCH")
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


def test_elsewhere_than_on_a_terminal_there_is_a_line_for_each_event() -> None:
    assert shown(terminal=False).splitlines() == [
        "Waiting: the network is gone",
        "Sent: /photos/[red]leaf.pdf",
        "Set aside: /photos/[red]leaf.pdf: TYPE_MISMATCH",
    ]


def test_on_a_terminal_there_is_a_bar_and_a_name_is_only_a_name() -> None:
    said = shown(terminal=True)

    assert "/2.0 MiB" in said
    assert "[red]leaf.pdf" in said
