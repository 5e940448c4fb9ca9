"""How the demo tells what happens, and what its parts share."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from rich.console import Console

from local.child import ServerFailed
from local.template import ROOT

DOWNLOADS = ROOT / ".local/demo"


class DemoFailed(ServerFailed):
    """The story ended early; the message says where."""


@dataclass
class Story:
    """What happened so far, and how long each step took."""

    console: Console = field(default_factory=Console)
    steps: list[tuple[str, float]] = field(default_factory=list)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Tell a step, and time it."""
        self.console.print(f"[bold]{title}[/bold]")
        began = time.monotonic()
        yield
        self.steps.append((title, time.monotonic() - began))


def data_of(answer: httpx.Response) -> dict[str, Any]:
    """Return the envelope's data, or end the story with the API's own words."""
    body = answer.json()
    if answer.is_error:
        error = body.get("error", body)
        details = "".join(f"\n  {d['field']}: {d['message']}" for d in error.get("details", []))
        raise DemoFailed(
            f"{answer.request.method} {answer.request.url.path} was answered with "
            f"{answer.status_code} {error.get('code', '')}: "
            f"{error.get('message') or answer.text}{details}"
        )
    data: dict[str, Any] = body["data"]
    return data
