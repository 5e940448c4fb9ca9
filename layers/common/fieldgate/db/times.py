"""Reading dates and times that PostgreSQL writes as ISO 8601."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from pg8000.converters import date_in, timestamp_in, timestamptz_in


def _iso(read: Callable[[str], Any], otherwise: Callable[[str], Any]) -> Callable[[str], Any]:
    """Read as ISO 8601; infinity, years before Christ and after 9999 as pg8000 does."""

    def convert(text: str) -> Any:
        try:
            return read(text)
        except ValueError:
            return otherwise(text)

    return convert


# pg8000 reads these by strptime, which takes half the time of a page of rows.
READERS_BY_TYPE = {
    1082: _iso(date.fromisoformat, date_in),
    1114: _iso(datetime.fromisoformat, timestamp_in),
    1184: _iso(datetime.fromisoformat, timestamptz_in),
}
