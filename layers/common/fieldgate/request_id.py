"""The correlation id of the work in hand: one request, or one queued message it caused."""

import re
import uuid
from contextvars import ContextVar

HEADER = "x-request-id"

_SANE = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_current: ContextVar[str] = ContextVar("request_id", default="")


def adopt(*candidates: str | None) -> str:
    """Make the first sane candidate the current id: a token of 1 to 128 of A-Z a-z 0-9 . _ : -.

    With none among them it is a new id, so that nobody writes into our logs by a header. Returns
    the id now in force.
    """
    sane = (candidate for candidate in candidates if candidate and _SANE.fullmatch(candidate))
    request_id = next(sane, None) or str(uuid.uuid4())
    _current.set(request_id)
    return request_id


def current() -> str:
    """Return the id in force, or "" outside any request."""
    return _current.get()
