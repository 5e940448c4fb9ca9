"""How the sending goes, on a terminal: a bar for each file. Elsewhere, a line when it has ended."""

from types import TracebackType
from typing import Self

from rich import progress
from rich.console import Console
from rich.filesize import decimal

from fieldgate_client.errors import ClientError
from fieldgate_client.offline_queue import Watcher
from fieldgate_client.outbox import Entry
from fieldgate_client.progress import Progress


class ProgressBar(Watcher):
    """A watcher of the queue that shows what it is told; `with` begins and ends the showing."""

    def __init__(self, out: Console) -> None:
        self._out = out
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
                entry.title.rpartition("/")[2], total=progress.size, details=""
            )
        self._progress.update(bar, completed=progress.acknowledged, details=details(progress))

    def ended(self, entry: Entry, reason: str | None) -> None:
        if (bar := self._bars.pop(entry.id, None)) is not None:
            self._progress.remove_task(bar)
        self.say(
            f"Sent: {entry.title}" if reason is None else f"Set aside: {entry.title}: {reason}"
        )

    def waiting(self, error: ClientError) -> None:
        self.say(f"Waiting: {error}")

    def say(self, line: str) -> None:
        """Print a line above the bars."""
        self._out.print(line)


def details(progress: Progress) -> str:
    """Return speed, time left and retries, as far as there are any."""
    parts = []
    if progress.speed:
        parts.append(f"{decimal(round(progress.speed))}/s")
    if progress.remaining is not None:
        minutes, seconds = divmod(round(progress.remaining), 60)
        parts.append(f"{minutes}:{seconds:02} left")
    if progress.retries:
        parts.append(f"{progress.retries} {'retry' if progress.retries == 1 else 'retries'}")
    return ", ".join(parts)
