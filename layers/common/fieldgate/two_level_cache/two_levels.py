"""What one process keeps of values, and its way to what all of them keep in Valkey."""

import json
from collections.abc import Callable
from functools import partial
from time import sleep
from typing import Any

from fieldgate import cache, deadline
from fieldgate.cache import LOCAL_SECONDS
from fieldgate.two_level_cache.local_texts import LocalTexts
from fieldgate.two_level_cache.regions import seconds_of
from fieldgate.two_level_cache.single_flight import SingleFlight
from fieldgate.two_level_cache.versions import Version, Versions

# Who loads a value has its lock for so long; others look whether it is there so often, which takes
# a second in all.
LOCK_SECONDS = 2
LOOKS = 20
PAUSE_SECONDS = 0.05


class TwoLevels:
    """What `fieldgate.two_level_cache` says, of one process.

    Both levels hold a value's text in JSON, by the same key.
    """

    def __init__(self) -> None:
        self._versions = Versions()
        self._texts = LocalTexts()
        self._flights = SingleFlight[str]()

    def get[T](self, region: str, key: str, load: Callable[[], T]) -> T:
        version = self._versions.of(region)
        full_key = _full_key(region, version, key)
        text = self._texts.get(full_key)
        if text is None:
            find = partial(self._find_or_load, full_key, seconds_of(region), load, version.shared)
            text = self._flights.do(full_key, find)
        value: T = json.loads(text)
        return value

    def put(self, region: str, key: str, value: Any) -> None:
        version = self._versions.of(region)
        full_key, text = _full_key(region, version, key), json.dumps(value)
        self._keep(full_key, text, seconds_of(region), version.shared)

    def renew(self, *regions: str) -> None:
        self._versions.renew(regions)

    def _find_or_load(
        self, full_key: str, seconds: int, load: Callable[[], Any], shared: bool
    ) -> str:
        """Return a text that this process doesn't know."""
        locked = False
        if shared:
            found, locked = self._find(full_key)
            if found is not None:
                return found
        unlock = [_unlock(full_key)] if locked else []
        try:
            text = json.dumps(load())
        except BaseException:
            cache.in_one_trip(unlock)
            raise
        self._keep(full_key, text, seconds, shared, *unlock)
        return text

    def _find(self, full_key: str) -> tuple[str | None, bool]:
        """Return the text that Valkey has; or none, and whether we have the lock.

        Who hasn't got it waits for a while.
        """
        look = [("GET", full_key), ("PTTL", full_key)]
        lock = ("SET", f"lock:{full_key}", "1", "NX", "PX", str(LOCK_SECONDS * 1000))
        if (answers := cache.in_one_trip(look)) is None:
            return None, False
        if self._is_found(full_key, *answers):
            return answers[0], False
        for _ in range(LOOKS):
            if (answers := cache.in_one_trip([lock, *look])) is None:
                return None, False
            locked, *found = answers
            if self._is_found(full_key, *found):
                # Whoever had the lock before us has loaded it since our look.
                cache.in_one_trip([_unlock(full_key)] if locked else [])
                return found[0], False
            if locked:
                return None, True
            if not deadline.is_left():
                break
            sleep(PAUSE_SECONDS)
        return None, False

    def _is_found(self, full_key: str, text: str | None, milliseconds: int) -> bool:
        """Say whether it is a value; then it is kept here, for as long as Valkey will."""
        if text is None:
            return False
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            return False
        self._texts.set(full_key, text, milliseconds / 1000)
        return True

    def _keep(
        self, full_key: str, text: str, seconds: int, shared: bool, *unlock: tuple[str, ...]
    ) -> None:
        """Keep a text at both levels. What Valkey hasn't got lives no longer than without it."""
        set_it = ("SET", full_key, text, "EX", str(seconds))
        taken = shared and cache.in_one_trip([set_it, *unlock]) is not None
        self._texts.set(full_key, text, seconds if taken else min(seconds, LOCAL_SECONDS))


def _full_key(region: str, version: Version, key: str) -> str:
    return f"{region}:{version.word}:{key}"


def _unlock(full_key: str) -> tuple[str, ...]:
    # When loading took longer than the lock holds, this may be another's: then a third loads too.
    return "DEL", f"lock:{full_key}"
