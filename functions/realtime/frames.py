"""Frames as clients send them: how large and how deep they may be, and which dialect they are in.

Imports next to nothing: pings come through here, and they are nine in ten of all frames.
"""

import json
import re
from typing import Any, Literal, NoReturn

type Dialect = Literal["signalr", "json"]

MAX_BYTES = 32 * 1024  # also of what is sent
MAX_DEPTH = 16
MAX_ID_BYTES = 100

RECORD_SEPARATOR = "\x1e"

# A record whose end, and the separator, didn't come in this frame. Numbers are SignalR's types.
_UNFINISHED = re.compile(r'\s*\{.*"(?:protocol"\s*:|type"\s*:\s*[0-9])', re.DOTALL)


class FrameRefused(Exception):
    """The frame can't be read; the message is a sentence for the client."""

    def __init__(self, sentence: str, code: str = "VALIDATION_ERROR") -> None:
        """Take the code that plain JSON has besides the sentence."""
        super().__init__(sentence)
        self.sentence = sentence
        self.code = code


def is_signalr(body: str) -> bool:
    """Say whether a frame is meant as SignalR's, whole or not, as far as it tells by itself."""
    if RECORD_SEPARATOR in body:
        return not _is_ended_request(body)
    return '"action"' not in body and _UNFINISHED.match(body[:MAX_BYTES]) is not None


def check_size(body: str) -> None:
    """Raise FrameRefused when a frame is larger than API Gateway would let by."""
    if len(body) > MAX_BYTES or len(body.encode(errors="surrogatepass")) > MAX_BYTES:
        raise FrameRefused("A frame may be 32 KB at most.", "PAYLOAD_TOO_LARGE")


def is_short(value: Any) -> bool:
    """Say whether it is a text that an answer may repeat as its id, by its bytes in JSON."""
    return isinstance(value, str) and len(json.dumps(value)) <= MAX_ID_BYTES + 2


def read_object(text: str) -> dict[str, Any]:
    """Return the JSON object that `text` is.

    Raises:
        FrameRefused: it is none, or its parts are nested deeper than `MAX_DEPTH`.

    """
    try:
        content = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise FrameRefused(_TOO_DEEP) from None
    except ValueError:
        raise FrameRefused("That is not JSON.") from None
    if not isinstance(content, dict):
        raise FrameRefused("That is no JSON object.")
    _check_depth(content)
    return content


def _is_ended_request(body: str) -> bool:
    """Say whether it is a request of plain JSON, with a separator after it."""
    text = body.rstrip()  # of separators as well
    if '"action"' not in text or RECORD_SEPARATOR in text or len(text) > MAX_BYTES:
        return False
    try:
        content = read_object(text)
    except FrameRefused:
        return False
    is_record = "protocol" in content or type(content.get("type")) is int
    return isinstance(content.get("action"), str) and not is_record


_TOO_DEEP = f"JSON may be nested {MAX_DEPTH} deep at most."


def _check_depth(content: dict[str, Any]) -> None:
    level: list[Any] = [content]
    for _ in range(MAX_DEPTH):
        level = [
            part
            for whole in level
            for part in (whole.values() if isinstance(whole, dict) else whole)
            if isinstance(part, dict | list)
        ]
        if not level:
            return
    raise FrameRefused(_TOO_DEEP)


def _refuse_constant(name: str) -> NoReturn:
    # Python would read NaN and Infinity, which JSON doesn't have, and write them into answers.
    raise ValueError(name)
