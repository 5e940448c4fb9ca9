"""Values as PostgreSQL writes and reads them, where pg8000 is slow or wrong.

It reads dates and times by strptime, which took half the time of a page of rows, and arrays letter
by letter; and it writes the text null, in small letters, as an array's NULL.
"""

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from pg8000.converters import array_out, date_in, string_array_in, timestamp_in, timestamptz_in


def _iso(read: Callable[[str], Any], otherwise: Callable[[str], Any]) -> Callable[[str], Any]:
    """Read as ISO 8601; infinity, years before Christ and after 9999 as pg8000 does."""

    def convert(text: str) -> Any:
        try:
            return read(text)
        except ValueError:
            return otherwise(text)

    return convert


def _texts(array: str) -> Any:
    """Read {one,other}; as pg8000 does where anything is quoted, nested or NULL.

    PostgreSQL quotes what holds a comma, a brace, a space, a quote or nothing at all.
    """
    is_plain = array[:1] == "{" and array.count("{") == 1
    if not is_plain or '"' in array or "NULL" in array:
        return string_array_in(array)
    return array[1:-1].split(",") if array != "{}" else []


READERS_BY_TYPE = {
    1009: _texts,  # text[]
    1015: _texts,  # varchar[]
    1082: _iso(date.fromisoformat, date_in),
    1114: _iso(datetime.fromisoformat, timestamp_in),
    1184: _iso(datetime.fromisoformat, timestamptz_in),
}


def _array(values: list[Any]) -> Any:
    """Write an array; of texts with each of them quoted."""
    if not all(value is None or isinstance(value, str) for value in values):
        return array_out(values)
    return "{" + ",".join("NULL" if text is None else _quoted(text) for text in values) + "}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", r"\\").replace('"', r"\"")
    return f'"{escaped}"'


WRITERS_BY_TYPE = {list: _array}
