"""Plain JSON: what is read and what is written (docs/realtime.md)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from realtime.frames import FrameRefused, is_short, read_object

ACTIONS = "subscribe, unsubscribe, resume, ping and getConnectionId"
NO_ACTION = "A request needs an action: subscribe, unsubscribe, resume, ping or getConnectionId."

# JavaScript counts no further.
_MAX_ID = 2**53


@dataclass(frozen=True)
class Request:
    """What is asked; `id` comes back in the answer, if there is one."""

    action: str
    id: str | int | None
    content: Mapping[str, Any]


def read(body: str) -> Request:
    """Return the request that a frame is.

    Raises:
        FrameRefused: it is none.

    """
    content = read_object(body)
    action, request_id = content.get("action"), content.get("id")
    if not isinstance(action, str):
        raise FrameRefused(NO_ACTION)
    if request_id is not None and not _is_id(request_id):
        raise FrameRefused("An id is a number, or a text of 100 characters at most.")
    return Request(action, request_id, content)


def answer(kind: str, request_id: str | int | None = None, **content: Any) -> str:
    """Return an answer of that type."""
    told = {"type": kind} | content
    told = told if request_id is None else told | {"id": request_id}
    return json.dumps(told, separators=(",", ":"))


def error(code: str, message: str, request_id: str | int | None = None) -> str:
    """Return a refusal; `message` is a sentence of ours."""
    return answer("error", request_id, code=code, message=message)


def close(reason: str, *, reconnect: bool) -> str:
    """Return what is said before the connection is closed."""
    return answer("close", reason=reason, reconnect=reconnect)


def _is_id(value: Any) -> bool:
    return is_short(value) or (type(value) is int and abs(value) < _MAX_ID)
