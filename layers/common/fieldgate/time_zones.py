"""Time zones, by the names that the IANA database gives them and phones know."""

from functools import cache
from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator, WithJsonSchema

# In the database, or beside it on some systems, and of no place.
_NOWHERE = {"Factory", "localtime"}


@cache
def _names() -> frozenset[str]:
    return frozenset(available_timezones() - _NOWHERE)


def _known(name: str) -> str:
    if name not in _names():
        raise ValueError('is not a time zone; they are named as in "Africa/Nairobi"')
    return name


TimeZone = Annotated[
    str,
    AfterValidator(_known),
    WithJsonSchema({"type": "string", "description": "Of the IANA database: Africa/Nairobi"}),
]
