"""What the server answered, read with care.

Whatever has another size or shape than the contract says is not the server's answer but somebody
else's, such as a captive portal's: a NetworkError, and never a traceback. Where the envelope is
right and what is in it isn't, that is a NotUnderstood.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn

import httpx

from fieldgate_client.errors import ApiError, NetworkError, NotUnderstood

# The longest answer of the contract, 32 signed URLs, takes 64 KiB.
MAX_ANSWER_BYTES = 1024 * 1024
# Bodies as they are: one that is packed may unpack to a thousand times its size.
UNPACKED = {"Accept-Encoding": "identity"}
# What the gateway says by itself, outside the envelope (docs, "Answers"), besides 5xx.
GATEWAY_STATUSES = frozenset({413, 429})

# What stands in a path is a UUID's 36 characters; a longer name than this is none.
MAX_NAME_CHARACTERS = 64

_NAME = re.compile(rf"[\w-]{{1,{MAX_NAME_CHARACTERS}}}", re.ASCII)
_VISIBLE = re.compile(r"[!-~]+")


def strange(why: str) -> NetworkError:
    """Return the error for an answer that the server doesn't give."""
    return NetworkError(f"Not the server's answer: {why}")


def not_understood(why: str) -> NotUnderstood:
    """Return the error for an answer in the envelope whose content the contract doesn't know."""
    return NotUnderstood(f"Not the server's answer: {why}")


class Fields:
    """An object of JSON, whose fields are read as what they have to be.

    All raise `wrong`, which is a NetworkError, where they are something else.
    """

    def __init__(self, found: object, wrong: Callable[[str], NetworkError] = strange) -> None:
        self._wrong = wrong
        if not isinstance(found, dict):
            raise wrong("no object where there should be one.")
        self._found: Mapping[str, Any] = found

    def has(self, name: str) -> bool:
        """Say whether there is such a field, and something in it."""
        return self._found.get(name) is not None

    def any(self, name: str) -> Any:
        if name not in self._found:
            raise self._wrong(f"no {name}.")
        return self._found[name]

    def text(self, name: str) -> str:
        found = self.any(name)
        if not isinstance(found, str):
            raise self._wrong(f"{name} is no text.")
        return found

    def text_or_none(self, name: str) -> str | None:
        return self.text(name) if self.has(name) else None

    def name(self, name: str) -> str:
        """Read what may stand in a path: 1 to 64 letters, digits, "-" and "_"."""
        if not _NAME.fullmatch(found := self.text(name)):
            raise self._wrong(f"{name} names nothing.")
        return found

    def visible(self, name: str) -> str:
        """Read what may stand in a header: visible ASCII, and some of it."""
        if not _VISIBLE.fullmatch(found := self.text(name)):
            raise self._wrong(f"{name} is no word.")
        return found

    def truth(self, name: str) -> bool:
        """Read what is false unless it is said."""
        return self._found.get(name) is True

    def whole(self, name: str, least: int, most: int) -> int:
        found = self.any(name)
        if not _is_whole(found) or not least <= found <= most:
            raise self._wrong(f"{name} is no whole number from {least} to {most}.")
        return int(found)

    def number(self, name: str, least: float, most: float) -> float:
        found = self.any(name)
        if not (_is_whole(found) or isinstance(found, float)) or not least <= found <= most:
            raise self._wrong(f"{name} is no number from {least} to {most}.")
        return float(found)

    def numbers(self, name: str, most: int) -> list[int]:
        """Read a list of whole numbers from 1, in order and each once."""
        found = self.listed(name)
        if not all(_is_whole(each) and 1 <= each <= most for each in found):
            raise self._wrong(f"{name} are not whole numbers from 1 to {most}.")
        return sorted(set(found))

    def texts(self, name: str) -> tuple[str, ...]:
        found = self.listed(name)
        if not all(isinstance(each, str) for each in found):
            raise self._wrong(f"{name} are no texts.")
        return tuple(found)

    def moment(self, name: str) -> datetime:
        """Read a time with its zone."""
        try:
            found = datetime.fromisoformat(self.text(name))
        except ValueError as error:
            raise self._wrong(f"{name} is no time.") from error
        if found.tzinfo is None:
            raise self._wrong(f"{name} has no zone.")
        return found

    def within(self, name: str) -> "Fields":
        return Fields(self.any(name), self._wrong)

    def each(self, name: str) -> list["Fields"]:
        return [Fields(found, self._wrong) for found in self.listed(name)]

    def headers(self, name: str) -> dict[str, str]:
        found = self.within(name)
        for header in found._found:
            value = found.text(header)
            if not (_VISIBLE.fullmatch(header) and value.isascii() and value.isprintable()):
                raise self._wrong(f"{name} are no headers.")
        return dict(found._found)

    def listed(self, name: str) -> list[Any]:
        found = self.any(name)
        if not isinstance(found, list):
            raise self._wrong(f"{name} is no list.")
        return found


@dataclass(frozen=True)
class Answer:
    """A success. `timestamp` is when the server answered, by its own clock; None without a body."""

    data: Any
    timestamp: datetime | None

    @property
    def fields(self) -> Fields:
        """`data`, to be read as what the contract says.

        Raises NotUnderstood for all else, and NetworkError where there was no envelope: a captive
        portal says 204 as well.
        """
        return Fields(self.data, strange if self.timestamp is None else not_understood)


async def body_of(response: httpx.Response, most: int = MAX_ANSWER_BYTES) -> bytes | None:
    """Read the body of a response that is being streamed; None if it is longer, or packed."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        return None
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > most:
            return None
    return bytes(body)


def read(response: httpx.Response, body: bytes | None) -> Answer:
    """Return what the server answered, or raise what it says; `body` is what `body_of` returned."""
    if response.status_code == httpx.codes.NO_CONTENT:
        return Answer(None, None)
    try:
        content = Fields(json_of(body))
        if content.any("success") is True and response.is_success:
            return Answer(content.any("data"), content.within("meta").moment("timestamp"))
        refusal = _refusal(response, content)
    except NetworkError as error:
        if response.status_code in GATEWAY_STATUSES or response.is_server_error:
            reason = response.reason_phrase
            raise ApiError(response.status_code, "", reason, (), _retry_after(response)) from error
        # A captive portal's page, or its redirect to one: whatever it says, the server did not.
        raise
    raise refusal


def json_of(body: bytes | None) -> object:
    """Return the JSON that a body holds; raises NetworkError where it holds none."""
    if body is None:
        raise strange("it is too long, or packed.")
    try:
        found = json.loads(body.decode(), parse_constant=_no_number)
        # Half a pair of UTF-16 can be written in JSON, and neither kept nor shown.
        json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise strange("no JSON; a captive portal?") from error
    return found


def _no_number(constant: str) -> NoReturn:
    raise ValueError(constant)


def _refusal(response: httpx.Response, content: Fields) -> ApiError:
    if content.any("success") is not False or not response.is_error:
        raise strange(f"{response.status_code} that says otherwise inside.")
    error = content.within("error")
    details = error.each("details") if error.has("details") else ()
    return ApiError(
        response.status_code,
        error.text("code"),
        error.text("message"),
        [{name: each.text(name) for name in ("field", "message")} for each in details],
        _retry_after(response),
    )


def _retry_after(response: httpx.Response) -> float | None:
    """Read Retry-After (RFC 9110, 10.2.3): seconds, or a date by the server's own clock."""
    value = response.headers.get("Retry-After", "")
    try:
        if value.isdecimal():
            seconds = float(value)
        else:
            answered_at = parsedate_to_datetime(response.headers["Date"])
            seconds = (parsedate_to_datetime(value) - answered_at).total_seconds()
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _is_whole(found: object) -> bool:
    return isinstance(found, int) and not isinstance(found, bool)
