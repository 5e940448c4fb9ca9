"""What is asked often and seldom changes: kept in this process first, and in Valkey second.

    rights = two_level_cache.get("permissions", f"{user_id}:{version}", load_rights)

A value belongs to a region, and lives as long as `TIMES_TO_LIVE` has it (regions.py), counted from
when it was loaded. A region has a version (versions.py), which is part of its keys: `renew` makes
all of them old, everywhere. Whoever changes what a region tells of calls it after the commit. So a
change is in force

- at once in the process that renewed, and in others when they ask for the version again, which they
  do once it is `TRUST_SECONDS` old;
- where there is no Valkey, or none that answers, after `LOCAL_SECONDS`: no value lives longer then;
- when the word was lost, as whoever changed it was killed or Valkey was down just then, with the
  relay's next round, a minute later at most (`renew_missed`), and `TRUST_SECONDS`.

Many who miss the same value at the same moment load it once: threads by `SingleFlight`,
environments by a lock in Valkey. Who has waited for a second loads it as well.

Nothing here raises but what `load` does, and that isn't kept.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fieldgate import cache
from fieldgate.settings import once
from fieldgate.two_level_cache.regions import REGIONS_BY_TABLE, TIMES_TO_LIVE, regions_of
from fieldgate.two_level_cache.two_levels import TwoLevels
from fieldgate.two_level_cache.versions import TRUST_SECONDS

__all__ = [
    "TIMES_TO_LIVE",
    "TRUST_SECONDS",
    "get",
    "put",
    "renew",
    "renew_changed",
    "renew_missed",
]


def get[T](region: str, key: str, load: Callable[[], T]) -> T:
    """Return what is known by `key`, or what `load` returns, which then is known to others as well.

    That is any value that JSON has, None included, and comes as JSON gives it back: a copy, of
    which nobody else sees what is done to it. In this process that takes some microseconds, from
    Valkey a trip, or two when the version has to be asked for.

    Raises:
        Exception: whatever `load` does.

    """
    return _levels().get(region, key, load)


def put(region: str, key: str, value: Any) -> None:
    """Keep what happens to be known already, for `get`.

    Only where the key names one value for good, as by a version of its own: nobody can tell here
    whether the region was renewed since `value` was read.
    """
    _levels().put(region, key, value)


def renew(*regions: str) -> None:
    """Have nobody use what is kept of `regions` now; to be called after the commit of a change.

    Never raises. When Valkey can't be told, `renew_missed` tells it later.
    """
    _levels().renew(*regions)


def renew_changed(tables: Iterable[str]) -> None:
    """Renew the regions that changes of `tables` make old."""
    if regions := regions_of(tables):
        renew(*regions)


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


@once
def _levels() -> TwoLevels:
    return TwoLevels()
