"""Reading what our logger writes, as CloudWatch would get it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from logging import StreamHandler
from typing import Any

from fieldgate.observability import logger


class Log:
    """The log lines of one test."""

    def __init__(self, written: StringIO) -> None:
        self._written = written

    @property
    def text(self) -> str:
        return self._written.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]

    def said(self, message: str) -> list[dict[str, Any]]:
        """Return the lines with exactly this message."""
        return [line for line in self.lines if line["message"] == message]


@contextmanager
def recorded_log() -> Iterator[Log]:
    """Have our logger write where the block can read it."""
    written = StringIO()
    handler = logger().registered_handler
    assert isinstance(handler, StreamHandler)
    before = handler.setStream(written)
    try:
        yield Log(written)
    finally:
        logger().thread_safe_clear_keys()
        logger().remove_keys(["request_id", "route", "gateway_request_id"])
        if before is not None:
            handler.setStream(before)
