"""A monotonic clock that is moved by hand."""

from types import ModuleType, SimpleNamespace
from typing import Self

import pytest


class Clock:
    """Seconds, from anywhere."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now

    @classmethod
    def instead_of_time_in(cls, module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Self:
        """Have `module`, which uses nothing else of `time`, go by a new clock."""
        clock = cls()
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=clock.monotonic))
        return clock
