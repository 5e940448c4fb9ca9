"""The versions of regions: random words in Valkey, which a process trusts for some seconds.

To renew a region its word is deleted, and whoever asks next writes another. So it is the same
whether somebody renewed it, it was crowded out or Valkey was started anew: a word that is gone
never comes again, and nobody finds what was kept under it. (A full Valkey still deletes.)

Where there is no Valkey that answers, the words are this process's own.
"""

import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from threading import Lock

from fieldgate import cache

# Longer is slower to notice a change, shorter is more trips: one for all regions in this time.
TRUST_SECONDS = 15


@dataclass(frozen=True)
class Version:
    """`shared` is what others go by as well."""

    word: str
    shared: bool


class Versions:
    """The versions that this process knows, all asked for at the same time."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: dict[str, Version] = {}
        self._asked_at = 0.0
        self._renewals = 0

    def of(self, region: str) -> Version:
        """Return the version of `region`, no older than `TRUST_SECONDS`."""
        version = self._known.get(region)
        # Wall-clock time, since a frozen environment grows old as well; it may be set back.
        if version is None or not 0 <= time.time() - self._asked_at < TRUST_SECONDS:
            return self._ask(region)
        return version

    def renew(self, regions: Iterable[str]) -> None:
        """Give `regions` other versions, here and as far as Valkey can be told."""
        names = list(regions)
        cache.in_one_trip([("DEL", _key(region)) for region in names])
        # After that, so that nobody here learns the old word again.
        with self._lock:
            self._renewals += 1
            for region in names:
                self._known.pop(region, None)

    def _ask(self, region: str) -> Version:
        while True:
            asked_at, renewals, known = time.time(), self._renewals, dict(self._known)
            found = _find([*known.keys() | {region}])
            with self._lock:
                # What was renewed meanwhile may have been read before that.
                if renewals == self._renewals:
                    self._known = found or _of_this_process(known, region)
                    self._asked_at = asked_at
                    return self._known[region]


def _find(regions: list[str]) -> dict[str, Version] | None:
    """Return the versions in Valkey, with new ones where there are none; None without Valkey."""
    words = cache.in_one_trip([("GET", _key(region)) for region in regions])
    if words is None:
        return None
    found = dict(zip(regions, words, strict=True))
    if missing := [region for region, word in found.items() if not word]:
        commands = [
            command
            for region in missing
            for command in (("SET", _key(region), _new_word(), "NX"), ("GET", _key(region)))
        ]
        answers = cache.in_one_trip(commands)
        if answers is None:
            return None
        found |= dict(zip(missing, answers[1::2], strict=True))
    # One that is gone again already is nobody else's.
    return {
        region: Version(word, shared=True) if word else Version(_new_word(), shared=False)
        for region, word in found.items()
    }


def _of_this_process(known: dict[str, Version], region: str) -> dict[str, Version]:
    return {
        name: version if version and not version.shared else Version(_new_word(), shared=False)
        for name, version in (known | {region: known.get(region)}).items()
    }


def _key(region: str) -> str:
    return f"version:{region}"


def _new_word() -> str:
    return secrets.token_hex(8)
