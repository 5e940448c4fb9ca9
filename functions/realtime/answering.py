"""How a frame is answered: in its own dialect, whatever is wrong with it.

What ends in 0x1e is SignalR's, what doesn't is plain JSON. A frame that can't be read as what it
looks like is answered in what its connection speaks; a client hears nothing rather than what would
break it, where that can't be found out.
"""

import base64
import binascii

from fieldgate.errors import ConfigurationError, FieldgateError
from realtime import answering_plain, answering_signalr, conversing, dialects, plain, signalr
from realtime.frames import RECORD_SEPARATOR, Dialect, FrameRefused, check_size, is_signalr
from realtime.invocation_limits import spend
from realtime.speaking import end

NOT_TEXT = "Frames are text here, and no binary."
NO_SEPARATOR = "A frame of plain JSON doesn't end in 0x1e."
FLOOD = "Too many frames."


def answer(connection_id: str, body: str, *, is_binary: bool) -> str:
    """Return what is sent back, empty for nothing; `is_binary` frames come in base64."""
    if is_binary:
        return _refuse(connection_id, _decoded(body), FrameRefused(NOT_TEXT), NOT_TEXT)
    if RECORD_SEPARATOR in body:
        if is_signalr(body):
            return answering_signalr.answer(connection_id, body)
        return _refuse(connection_id, body, FrameRefused(NO_SEPARATOR), signalr.NO_TYPE)
    try:
        check_size(body)
        request = plain.read(body)
    except FrameRefused as refusal:
        return _refuse(connection_id, body, refusal, signalr.UNFINISHED)
    return answering_plain.answer(connection_id, request)


def answer_flood(connection_id: str, body: str, too_many: int) -> str:
    """End the connection with the first frame that is one too many, and ignore what comes still."""
    if too_many > 1:
        return ""
    if _for_signalr(dialects.known(connection_id), body):
        return end(connection_id, signalr.close(FLOOD, allow_reconnect=False))
    return end(connection_id, plain.close("too_many_frames", reconnect=False))


def failed(connection_id: str, body: str) -> str:
    """Return what is sent back when something went wrong that nobody thought of."""
    if _for_signalr(dialects.known(connection_id), body):
        return signalr.close(conversing.BUG, allow_reconnect=True)
    return plain.error(FieldgateError.default_code, conversing.BUG)


def _refuse(connection_id: str, body: str, refusal: FrameRefused, to_signalr: str) -> str:
    """Say what is wrong with a frame, or, to a SignalR client, `to_signalr` and good-bye."""
    try:
        dialect = _dialect_of(connection_id)
    except (FieldgateError, ConfigurationError):
        # Plain JSON would break a SignalR client, and SignalR's record a plain one.
        return ""
    if _for_signalr(dialect, body):
        return answering_signalr.refuse_frame(connection_id, to_signalr)
    return plain.error(refusal.code, refusal.sentence)


def _dialect_of(connection_id: str) -> Dialect | None:
    """Return what a connection speaks, None when it has not begun.

    Raises:
        RateLimited: it has asked for too much; nobody looks.
        Unavailable: the database is.

    """
    if dialect := dialects.known(connection_id):
        return dialect
    with conversing.in_time():
        spend(connection_id, 1)
        conversing.find(connection_id)
    return dialects.known(connection_id)


def _for_signalr(dialect: Dialect | None, body: str) -> bool:
    return dialect == "signalr" or (dialect is None and is_signalr(body))


def _decoded(body: str) -> str:
    try:
        return base64.b64decode(body, validate=True).decode(errors="replace")
    except (binascii.Error, ValueError):
        return ""
