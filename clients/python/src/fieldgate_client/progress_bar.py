"""How the sending goes, on a terminal: a bar for each file. Elsewhere, a line when it has ended."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich import progress
from rich.console import Console
from rich.filesize import pick_unit_and_suffix

from fieldgate_client.errors import ClientError
from fieldgate_client.offline_queue import Watcher
from fieldgate_client.outbox import Entry
from fieldgate_client.progress import Progress
from fieldgate_client.terminal import shown


class ProgressBar(Watcher):
    """A watcher of the queue that shows what it is told; `with` begins and ends the showing.

    `media_id` knows the media that an upload has become. `told` are the entries whose end was
    shown.
    """

    def __init__(self, out: Console, media_id: Callable[[str], str | None]) -> None:
        self.told: set[int] = set()
        self._out = out
        self._media_id = media_id
        self._waits_for = ""
        self._bars: dict[int, progress.TaskID] = {}
        self._progress = progress.Progress(
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(),
            progress.DownloadColumn(binary_units=True),
            progress.TextColumn("{task.fields[details]}", markup=False),
            console=out,
            disable=not out.is_terminal,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def progress(self, entry: Entry, progress: Progress) -> None:
        bar = self._bars.get(entry.id)
        if bar is None:
            bar = self._bars[entry.id] = self._progress.add_task(
                shown(entry.title.rpartition("/")[2]), total=progress.size, details=""
            )
        self._progress.update(bar, completed=progress.acknowledged, details=details(progress))

    def ended(self, entry: Entry, reason: str | None) -> None:
        if (bar := self._bars.pop(entry.id, None)) is not None:
            self._progress.remove_task(bar)
        self._waits_for = ""
        self.told.add(entry.id)
        if reason is not None:
            self.say(set_aside(entry, reason))
        else:
            self.say(sent(entry.title, self._media_id(entry.upload) if entry.upload else None))

    def waiting(self, error: ClientError) -> None:
        for bar in self._bars.values():
            self._progress.update(bar, details="waiting")
        if self._waits_for != str(error):
            self._waits_for = str(error)
            self.say(f"Waiting: {error}")

    def say(self, line: str) -> None:
        """Print a line above the bars."""
        self._out.print(line)


def sent(title: str, media_id: str | None) -> str:
    """Say that something has arrived."""
    return f"Sent: {title} (media {media_id})" if media_id else f"Sent: {title}"


def set_aside(entry: Entry, reason: str | None) -> str:
    """Say that an entry was set aside, by its number."""
    return f"Set aside ({entry.id}): {entry.title}: {reason}"


def details(progress: Progress) -> str:
    """Return speed, time left and retries, as far as there are any, or what goes on instead."""
    parts = []
    if progress.is_there:
        parts.append("being put together")
    elif progress.speed is not None and progress.remaining is not None:
        # In the units of DownloadColumn.
        unit, name = pick_unit_and_suffix(int(progress.speed), ["bytes", "KiB", "MiB", "GiB"], 1024)
        parts.append(f"{progress.speed / unit:.{0 if unit == 1 else 1}f} {name}/s")
        minutes, seconds = divmod(round(progress.remaining), 60)
        parts.append(f"{minutes}:{seconds:02} left")
    if progress.retries:
        parts.append(f"{progress.retries} {'retry' if progress.retries == 1 else 'retries'}")
    return ", ".join(parts)
