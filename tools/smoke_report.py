"""What a smoke test found, told line by line."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import httpx
import stamina
from rich.console import Console
from rich.markup import escape
from stamina.instrumentation import set_on_retry_hooks

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 5.0

type Check = Callable[[], Awaitable[str]]


class CheckFailed(Exception):
    """What a check found wrong, as a sentence."""


# What may pass while a deployment settles.
PASSING = (CheckFailed, httpx.HTTPError, aiohttp.ClientError, OSError, TimeoutError)


def expect(condition: object, otherwise: str) -> None:
    """Raise `CheckFailed` with that sentence unless the condition holds."""
    if not condition:
        raise CheckFailed(otherwise)


@dataclass
class Report:
    """Until `settled_at`, by the monotonic clock, a check that fails is tried again."""

    settled_at: float
    console: Console = field(default_factory=lambda: Console(highlight=False))
    passed: int = 0
    failed: list[str] = field(default_factory=list)
    left_out: int = 0

    def __post_init__(self) -> None:
        """Keep stamina from logging each try; the outcome is told here."""
        set_on_retry_hooks([])

    async def check(self, name: str, look: Check, *, again: bool = True) -> bool:
        """Run a check, which returns what it saw; say whether it passed.

        With `again` false it is tried once only: it makes something.
        """
        began = time.monotonic()
        try:
            seen = await (self._settled(look) if again else look())
        except PASSING as error:
            self.failed.append(name)
            self._tell("[red]FAILED[/red]  ", name, _words(error))
            return False
        self.passed += 1
        took = f"{(time.monotonic() - began) * 1000:.0f} ms"
        self._tell("[green]ok[/green]      ", name, f"{seen}, {took}" if seen else took)
        return True

    async def _settled(self, look: Check) -> str:
        retries = stamina.retry_context(
            on=PASSING,
            attempts=None,
            timeout=max(self.settled_at - time.monotonic(), 0.001),
            wait_initial=FIRST_PAUSE_SECONDS,
            wait_max=LONGEST_PAUSE_SECONDS,
        )
        async for attempt in retries:
            with attempt:
                return await look()
        raise AssertionError  # the last try raises what it raised

    def leave_out(self, name: str, reason: str) -> None:
        self.left_out += 1
        self._tell("[yellow]left out[/yellow]", name, reason)

    def close(self, seconds: float) -> int:
        """Sum up; return the exit code."""
        checks = self.passed + len(self.failed)
        extra = f", {self.left_out} left out" if self.left_out else ""
        if not self.failed:
            line = f"[green]All {checks} checks passed[/green]{extra}, in {seconds:.1f} s."
        else:
            line = (
                f"[red]{len(self.failed)} of {checks} checks failed[/red]{extra}, "
                f"in {seconds:.1f} s: {escape(', '.join(self.failed))}."
            )
        self.console.print(line, soft_wrap=True)
        return 1 if self.failed else 0

    def _tell(self, verdict: str, name: str, words: str) -> None:
        self.console.print(f"{verdict} {escape(f'{name:<29} {words}')}", soft_wrap=True)


@asynccontextmanager
async def undone(report: Report, name: str, undo: Check) -> AsyncIterator[None]:
    """Run `undo` as a check when the block is left, however it is left."""
    try:
        yield
    finally:
        await report.check(name, undo)


def _words(error: BaseException) -> str:
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return f"no answer in time ({type(error).__name__})"
    return str(error) or type(error).__name__
