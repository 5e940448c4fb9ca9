"""What phones write into requests about themselves and their people, and what is refused of it."""

import re
from datetime import time
from typing import Annotated

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema

# FCM's tokens have 150 to 300 characters today, and no promised length.
_TOKEN = re.compile("[!-~]{1,4096}")
_CLOCK = re.compile("([01][0-9]|2[0-3]):([0-5][0-9])")


def _token(token: str) -> str:
    if not _TOKEN.fullmatch(token):
        raise ValueError("must be 1 to 4096 visible ASCII characters")
    return token


def _app_version(version: str) -> str:
    if not version.isprintable():
        raise ValueError("has characters that can't be shown")
    return version


def _clock(value: object) -> time:
    found = _CLOCK.fullmatch(value) if isinstance(value, str) else None
    if not found:
        raise ValueError("must be a time from 00:00 to 23:59")
    return time(int(found[1]), int(found[2]))


# Who has it can push to that phone, if they have our credentials as well.
DeviceToken = Annotated[
    str,
    AfterValidator(_token),
    Field(repr=False),
    WithJsonSchema({"type": "string", "pattern": "^[!-~]{1,4096}$"}),
]
AppVersion = Annotated[str, Field(min_length=1, max_length=50), AfterValidator(_app_version)]
# A time of day, to the minute.
Clock = Annotated[
    time,
    PlainValidator(_clock),
    WithJsonSchema({"type": "string", "pattern": f"^{_CLOCK.pattern}$"}),
]
