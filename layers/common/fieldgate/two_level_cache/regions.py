"""Which regions there are: how long their values live, and the tables that they tell of."""

from collections.abc import Iterable, Mapping

TIMES_TO_LIVE: Mapping[str, int] = {
    "permissions": 10 * 60,
    "configuration": 15 * 60,
    "catalog": 60 * 60,
    "organisation": 24 * 60 * 60,
}
# Of any other region.
DEFAULT_SECONDS = 15 * 60

# By a table, the region that its changes make old. There is none for rights: the version of a
# user's permissions is part of their key, and the database moves it on with every change.
REGIONS_BY_TABLE: Mapping[str, str] = {"configuration": "configuration"}


def seconds_of(region: str) -> int:
    """Return how long values of `region` live, counted from when they were loaded."""
    return TIMES_TO_LIVE.get(region, DEFAULT_SECONDS)


def regions_of(tables: Iterable[str]) -> list[str]:
    """Return the regions that changes of `tables` make old."""
    return sorted({REGIONS_BY_TABLE[table] for table in tables if table in REGIONS_BY_TABLE})
