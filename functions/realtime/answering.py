"""How a frame is answered: in its own dialect, whatever is wrong with it."""

import base64
import binascii

from fieldgate.errors import ConfigurationError, FieldgateError
from realtime import answering_plain, answering_signalr, conversing, plain, signalr
from realtime.frames import FrameRefused, check_size, is_signalr
from realtime.invocation_limits import spend
from realtime.speaking import end

NOT_TEXT = "Frames are text here, and no binary."
FLOOD = "Too many frames."


def answer(connection_id: str, body: str, *, is_binary: bool) -> str:
    """Return what is sent back, empty for nothing; `is_binary` frames come in base64."""
    if is_binary:
        return _refuse(connection_id, _decoded(body), FrameRefused(NOT_TEXT))
    if is_signalr(body):
        return answering_signalr.answer(connection_id, body)
    try:
        check_size(body)
        request = plain.read(body)
    except FrameRefused as refusal:
        return _refuse(connection_id, body, refusal)
    return answering_plain.answer(connection_id, request)


def answer_flood(connection_id: str, body: str, too_many: int) -> str:
    """End the connection with the first frame that is one too many, and ignore what comes still."""
    if too_many > 1:
        return ""
    if is_signalr(body):
        return end(connection_id, signalr.close(FLOOD, allow_reconnect=False))
    return end(connection_id, plain.close("too_many_frames", reconnect=False))


def failed(body: str) -> str:
    """Return what is sent back when something went wrong that nobody thought of."""
    if is_signalr(body):
        return signalr.close(conversing.BUG, allow_reconnect=True)
    return plain.error(FieldgateError.default_code, conversing.BUG)


def _refuse(connection_id: str, body: str, refusal: FrameRefused) -> str:
    if is_signalr(body) or _spoke_signalr(connection_id):
        return answering_signalr.refuse_frame(connection_id, refusal.sentence)
    return plain.error(refusal.code, refusal.sentence)


def _spoke_signalr(connection_id: str) -> bool:
    """Say whether a frame that tells no dialect came from a SignalR client."""
    try:
        with conversing.in_time():
            spend(connection_id, 1)
            connected = conversing.find(connection_id)
    except (FieldgateError, ConfigurationError):
        return False
    return connected is not None and connected.begun and connected.dialect != "json"


def _decoded(body: str) -> str:
    try:
        return base64.b64decode(body, validate=True).decode(errors="replace")
    except (binascii.Error, ValueError):
        return ""
