"""The correlation id of the work in hand: one request, or one queued message it caused."""

import re
import uuid
from contextvars import ContextVar

HEADER = "x-request-id"

_SANE = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_current: ContextVar[str] = ContextVar("request_id", default="")


def adopt(candidate: str | None) -> str:
    """Make `candidate` the current id when it is a sane token (1 to 128 of A-Z a-z 0-9 . _ : -).

    Anything else is replaced by a new id, so that nobody writes into our logs by a header.
    Returns the id now in force.
    """
    request_id = candidate if candidate and _SANE.fullmatch(candidate) else str(uuid.uuid4())
    _current.set(request_id)
    return request_id


def current() -> str:
    """Return the id in force, or "" outside any request."""
    return _current.get()
