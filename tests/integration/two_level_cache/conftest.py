from types import SimpleNamespace
from typing import Any

import pytest
from valkey import Valkey

from fieldgate import cache
from fieldgate.two_level_cache import local_texts, versions
from fieldgate.two_level_cache.two_levels import TwoLevels
from local.valkey import ValkeyServer
from tests.support.clock import Clock


@pytest.fixture(autouse=True)
def deployed(environment: pytest.MonkeyPatch) -> None:
    """The surroundings of a deployed function, with an empty Valkey."""


@pytest.fixture
def clock(environment: pytest.MonkeyPatch) -> Clock:
    """The time as this process tells it; Valkey has its own."""
    clock = Clock()
    both = SimpleNamespace(monotonic=clock.monotonic, time=clock.monotonic)
    for module in (cache, local_texts, versions):
        environment.setattr(module, "time", both)
    return clock


@pytest.fixture
def here() -> TwoLevels:
    """An environment."""
    return TwoLevels()


@pytest.fixture
def there() -> TwoLevels:
    """Another one; both have one way to Valkey in these tests."""
    return TwoLevels()


class Source:
    """Where values come from; counts how often it was asked."""

    def __init__(self, value: Any = "a value") -> None:
        self.value = value
        self.asked = 0

    def __call__(self) -> Any:
        self.asked += 1
        return self.value


@pytest.fixture
def source() -> Source:
    return Source()


def server(valkey: ValkeyServer) -> Any:
    return Valkey.from_url(valkey.url, decode_responses=True)
