"""A clock that is moved by hand."""

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
        """Have `module`, which only asks `time` what time it is, go by a new clock."""
        clock = cls()
        both = SimpleNamespace(monotonic=clock.monotonic, time=clock.monotonic)
        monkeypatch.setattr(module, "time", both)
        return clock
