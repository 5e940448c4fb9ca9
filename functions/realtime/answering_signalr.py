"""How frames of SignalR clients are answered: the handshake, calls, pings, the end.

Whatever is answered ends in 0x1e. What breaks the protocol ends the connection for good, as the
client would only do it again; what is our fault, or the session's, lets it come back.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fieldgate.errors import RateLimited, Unavailable, ValidationFailed
from realtime import conversing, signalr, views
from realtime.frames import MAX_BYTES, FrameRefused, check_size
from realtime.invocation_limits import spend
from realtime.signalr import Close, Handshake, Invocation, Ping, Record
from realtime.speaking import end, say

if TYPE_CHECKING:
    from realtime.connection_store import Connected
    from realtime.events import Position

OUT_OF_TURN = "The handshake comes first, and once."
# The most that a refusal takes, so that there is room for those of the calls to come.
_REFUSAL_BYTES = 450


class _Ends(Exception):
    """The connection ends with `last_frame`."""

    def __init__(self, last_frame: str) -> None:
        super().__init__(last_frame)
        self.last_frame = last_frame


def answer(connection_id: str, body: str) -> str:
    """Return what a frame is answered with, empty for nothing."""
    try:
        check_size(body)
        records = signalr.read(body)
        spoken = [record for record in records if not isinstance(record, Ping)]
        pong = signalr.PING if len(spoken) < len(records) else ""
        if not spoken:
            return pong
        with conversing.in_time():
            return _answer(connection_id, spoken) + pong
    except FrameRefused as refusal:
        return refuse_frame(connection_id, refusal.sentence)
    except _Ends as over:
        return end(connection_id, over.last_frame)


def refuse_frame(connection_id: str, sentence: str) -> str:
    """End a connection whose client doesn't keep to the protocol; return what `end` does."""
    return end(connection_id, signalr.close(sentence, allow_reconnect=False))


def _answer(connection_id: str, spoken: Sequence[Record]) -> str:
    if any(isinstance(record, Handshake) for record in spoken[1:]):
        raise FrameRefused(OUT_OF_TURN)
    calls = [record for record in spoken if isinstance(record, Invocation)]
    refetch = ""
    try:
        spend(connection_id, max(1, len(calls)))
        if any(isinstance(record, Close) for record in spoken):
            # It goes by itself; one that only says so would be a connection nobody knows of.
            return end(connection_id)
        if isinstance(spoken[0], Handshake):
            connected, position = _shake_hands(connection_id, spoken[0])
            refetch = signalr.invocation(*views.refetch(position, datetime.now(UTC)))
        else:
            connected = _found(connection_id)
    except (RateLimited, Unavailable) as refusal:
        return "".join(_refused(call, refusal.message) for call in calls)
    return refetch + _answer_calls(connected, calls, MAX_BYTES - len(refetch))


def _found(connection_id: str) -> "Connected":
    connected = conversing.find(connection_id)
    if connected is None:
        sentence = signalr.REASONS.get(conversing.why_over(connection_id))
        raise _Ends(signalr.close(sentence, allow_reconnect=True))
    if not connected.begun or connected.dialect == "json":
        raise FrameRefused(OUT_OF_TURN)
    return connected


def _shake_hands(connection_id: str, handshake: Handshake) -> tuple["Connected", "Position"]:
    """Answer the handshake, then have events sent.

    A client takes nothing before that answer, and what a function returns is sent at some time
    later than events may be. So this answer isn't returned, but sent from here. Returns the
    connection, and after which position events are sent to it.
    """
    if handshake.refusal:
        raise _Ends(signalr.failed_handshake(handshake.refusal))
    try:
        begun = conversing.begin_handshake(connection_id)
        is_known = begun or conversing.find(connection_id) is not None
    except Unavailable as error:
        raise _Ends(signalr.failed_handshake(error.message)) from error
    if not is_known:
        raise _Ends(signalr.failed_handshake(signalr.ENDED))
    if not begun:
        raise FrameRefused(OUT_OF_TURN)
    try:
        say(connection_id, signalr.HANDSHAKE_ANSWER)
        ready = conversing.make_ready(connection_id, "signalr")
    except Exception as error:
        # Nothing would ever be sent to it.
        message = conversing.refusal(error, connection_id).message
        raise _Ends(signalr.close(message, allow_reconnect=True)) from error
    if ready is None:
        raise _Ends(signalr.close(signalr.ENDED, allow_reconnect=True))
    return ready


def _answer_calls(connected: "Connected", calls: list[Invocation], room: int) -> str:
    """Answer calls in their order, all in one frame."""
    room -= len(signalr.PING)
    answers: list[str] = []
    for number, call in enumerate(calls, 1):
        kept = (len(calls) - number) * _REFUSAL_BYTES
        connected, said = _answer_call(connected, call, room - kept)
        answers.append(said)
        room -= len(said)
    return "".join(answers)


def _answer_call(connected: "Connected", call: Invocation, room: int) -> tuple["Connected", str]:
    try:
        connected, result = _called(connected, call, room)
    except Exception as error:  # noqa: BLE001 it fails by itself; the others are answered
        return connected, _refused(call, conversing.refusal(error, connected.id).message)
    if call.id is None:
        return connected, ""
    said = signalr.completion(call.id, result)
    if len(said) > room:
        said = _refused(call, conversing.NO_ROOM)
    return connected, said


def _called(connected: "Connected", call: Invocation, room: int) -> tuple["Connected", Any]:
    """Do what a call asks; return the connection as it is then, and the result."""
    if call.streams:
        raise ValidationFailed("Nothing is streamed here.")
    arguments = call.arguments
    match call.target.casefold():
        case "getconnectionid":
            if arguments:
                raise ValidationFailed("GetConnectionId takes no arguments.")
            return connected, connected.id
        case "subscribe":
            connected = conversing.subscribe(connected, _names(arguments))
            return connected, {"channels": connected.viewer.channels}
        case "unsubscribe":
            connected = conversing.unsubscribe(connected, _names(arguments))
            return connected, {"channels": connected.viewer.channels}
        case "resume":
            if len(arguments) != 2:
                raise ValidationFailed("Resume takes an epoch and an offset.")
            epoch, offset = arguments
            return connected, conversing.resume(connected, epoch, offset, room)
        case _:
            raise ValidationFailed("Method does not exist.")


def _names(arguments: list[Any]) -> Any:
    """Return the names, which come as one list or as so many arguments."""
    return arguments[0] if len(arguments) == 1 and isinstance(arguments[0], list) else arguments


def _refused(call: Invocation, message: str) -> str:
    return signalr.failed_completion(call.id, message) if call.id is not None else ""
