"""What is asked often and seldom changes: kept in this process first, and in Valkey second.

    rights = cached.get("permissions", f"{user_id}:{version}", load_rights)

A value belongs to a region, and lives as long as `TIMES_TO_LIVE` has it, counted from when it was
loaded. A region has a version (see versions.py), which is part of its keys: `renew` makes all of
them old, everywhere. Whoever changes what a region tells of calls it after the commit. So a change
is in force

- at once in the process that renewed, and in others when they ask for the version again, which they
  do once it is `TRUST_SECONDS` old;
- where there is no Valkey, or none that answers, after `LOCAL_SECONDS`: no value lives longer then;
- when the word was lost, as whoever changed it was killed or Valkey was down just then, with the
  relay's next round, a minute later at most (`renew_missed`), and `TRUST_SECONDS`.

Many who miss the same value at the same moment load it once: threads by `SingleFlight`,
environments by a lock in Valkey. Who has waited for a second loads it as well.

Nothing here raises but what `load` does, and that isn't kept.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from time import sleep
from typing import Any

from fieldgate import cache, deadline
from fieldgate.cache import LOCAL_SECONDS
from fieldgate.cached.local_texts import LocalTexts
from fieldgate.cached.single_flight import SingleFlight
from fieldgate.cached.versions import TRUST_SECONDS, Version, Versions
from fieldgate.config import once

__all__ = ["TIMES_TO_LIVE", "TRUST_SECONDS", "get", "put", "renew", "renew_changed", "renew_missed"]

TIMES_TO_LIVE: Mapping[str, int] = {
    "permissions": 10 * 60,
    "configuration": 15 * 60,
    "catalog": 60 * 60,
    "organisation": 24 * 60 * 60,
}
# Of any other region.
DEFAULT_SECONDS = 15 * 60

# Which region a table's changes concern. The rights in `permissions` have a version of their own,
# which the database moves on; so they are never old.
REGIONS_BY_TABLE: Mapping[str, str] = {"configuration": "configuration"}

# Who loads has the lock for so long; others look for the value so often, which is a second in all.
LOCK_SECONDS = 2
LOOKS = 20
PAUSE_SECONDS = 0.05


def get[T](region: str, key: str, load: Callable[[], T]) -> T:
    """Return what is known by `key`, or what `load` returns, which then is known to others as well.

    That is any value that JSON has, None included, and comes as JSON gives it back: a copy, of
    which nobody else sees what is done to it. In this process that takes some microseconds, from
    Valkey a trip, or two when the version has to be asked for.

    Raises:
        Exception: whatever `load` does.

    """
    version = _versions().of(region)
    full_key = _full_key(region, version, key)
    text = _texts().get(full_key)
    if text is None:
        look = partial(_fetch, full_key, _seconds(region), load, shared=version.shared)
        text = _flights().do(full_key, look)
    value: T = json.loads(text)
    return value


def put(region: str, key: str, value: Any) -> None:
    """Keep what happens to be known already, for `get`.

    Only where the key names one value for good, as by a version of its own: this can't tell whether
    the region was renewed since `value` was read.
    """
    version = _versions().of(region)
    full_key, seconds = _full_key(region, version, key), _seconds(region)
    _keep(full_key, json.dumps(value), seconds, shared=version.shared)


def renew(*regions: str) -> None:
    """Have nobody use what is kept of `regions` now; to be called after the commit of a change.

    Never raises. When Valkey can't be told, `renew_missed` tells it later.
    """
    _versions().renew(regions)


def renew_changed(tables: Iterable[str]) -> None:
    """Renew the regions that changes of `tables` concern."""
    if regions := {REGIONS_BY_TABLE[table] for table in tables if table in REGIONS_BY_TABLE}:
        renew(*sorted(regions))


def renew_missed(read_marks: Callable[[list[str]], Mapping[str, str]]) -> None:
    """Renew the regions whose tables have changed since Valkey was told last.

    How far it was told stands in Valkey itself: where it lost a version, by a restart from what it
    had saved or as a replica took its place, it has lost that as well. `read_marks` returns for
    each of some tables a text, which is another after any change.
    """
    tables = sorted(REGIONS_BY_TABLE)
    told = cache.in_one_trip([("GET", f"renewed:{table}") for table in tables])
    if told is None:
        return
    marks = read_marks(tables)
    missed = [table for table, mark in zip(tables, told, strict=True) if mark != marks[table]]
    renew_changed(missed)
    cache.in_one_trip([("SET", f"renewed:{table}", marks[table]) for table in missed])


def _fetch(full_key: str, seconds: int, load: Callable[[], Any], *, shared: bool) -> str:
    """Return the text of a value that this process doesn't know."""
    locked = False
    if shared:
        found, locked = _found_elsewhere(full_key)
        if found is not None:
            return found
    try:
        text = json.dumps(load())
    except BaseException:
        if locked:
            cache.in_one_trip([_unlock(full_key)])
        raise
    _keep(full_key, text, seconds, shared=shared, locked=locked)
    return text


def _found_elsewhere(full_key: str) -> tuple[str | None, bool]:
    """Return the text that Valkey has; or none, and whether we have the lock.

    Who hasn't got it waits for a while.
    """
    look = [("GET", full_key), ("PTTL", full_key)]
    lock = ("SET", f"lock:{full_key}", "1", "NX", "PX", str(LOCK_SECONDS * 1000))
    if (answers := cache.in_one_trip(look)) is None:
        return None, False
    if _is_found(full_key, *answers):
        return answers[0], False
    for _ in range(LOOKS):
        if (answers := cache.in_one_trip([lock, *look])) is None:
            return None, False
        locked, *found = answers
        if _is_found(full_key, *found):
            # Whoever had the lock before us has loaded it since our look.
            if locked:
                cache.in_one_trip([_unlock(full_key)])
            return found[0], False
        if locked:
            return None, True
        if not deadline.is_left():
            break
        sleep(PAUSE_SECONDS)
    return None, False


def _is_found(full_key: str, text: str | None, milliseconds: int) -> bool:
    """Say whether it is a value; then this process keeps it, for as long as Valkey will."""
    if text is None:
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    _texts().set(full_key, text, milliseconds / 1000)
    return True


def _keep(full_key: str, text: str, seconds: int, *, shared: bool, locked: bool = False) -> None:
    """Keep a text in Valkey and here. What Valkey didn't take lives no longer than without it."""
    commands: list[tuple[str, ...]] = [("SET", full_key, text, "EX", str(seconds))]
    if locked:
        commands.append(_unlock(full_key))
    taken = shared and cache.in_one_trip(commands) is not None
    _texts().set(full_key, text, seconds if taken else min(seconds, LOCAL_SECONDS))


def _unlock(full_key: str) -> tuple[str, ...]:
    # When our load took longer than the lock holds, this may be another's: then a third loads too.
    return "DEL", f"lock:{full_key}"


def _full_key(region: str, version: Version, key: str) -> str:
    return f"{region}:{version.word}:{key}"


def _seconds(region: str) -> int:
    return TIMES_TO_LIVE.get(region, DEFAULT_SECONDS)


@once
def _versions() -> Versions:
    return Versions()


@once
def _texts() -> LocalTexts:
    return LocalTexts()


@once
def _flights() -> SingleFlight[str]:
    return SingleFlight()
