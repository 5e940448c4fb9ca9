"""How frames of plain JSON clients are answered."""

from typing import TYPE_CHECKING

from fieldgate.errors import ValidationFailed
from realtime import conversing, dialects, plain, signalr
from realtime.frames import MAX_BYTES
from realtime.invocation_limits import spend
from realtime.plain import Request
from realtime.speaking import end

if TYPE_CHECKING:
    from realtime.connection_store import Connected

ANOTHER_DIALECT = "This connection speaks SignalR."


def answer(connection_id: str, request: Request) -> str:
    """Return what a request is answered with."""
    if request.action == "ping":
        return plain.answer("pong", request.id)
    if dialects.known(connection_id) == "signalr":
        # That is what would be found out, and can't always be.
        return end(connection_id, signalr.close(ANOTHER_DIALECT, allow_reconnect=False))
    try:
        _check_action(request.action)
        with conversing.in_time():
            spend(connection_id, 1)
            connected = _connected(connection_id)
            if connected is not None and connected.dialect == "json":
                return _answer(connected, request)
    except Exception as error:  # noqa: BLE001 each request is to have its answer
        refusal = conversing.refusal(error, connection_id)
        return plain.error(refusal.code, refusal.message, request.id)
    if connected is None:
        return end(connection_id, plain.close(conversing.why_over(connection_id), reconnect=True))
    return end(connection_id, signalr.close(ANOTHER_DIALECT, allow_reconnect=False))


def _check_action(action: str) -> None:
    if action not in {"subscribe", "unsubscribe", "resume", "getConnectionId"}:
        raise ValidationFailed(f"There is no such action. There are {plain.ACTIONS}; case counts.")


def _connected(connection_id: str) -> "Connected | None":
    """Return the connection, which is ready from its first request on."""
    connected = conversing.find(connection_id)
    if connected is None or connected.begun:
        return connected
    # Two requests may come as the first: then the other one was it.
    ready = conversing.make_ready(connection_id, "json")
    return ready[0] if ready else conversing.find(connection_id)


def _answer(connected: "Connected", request: Request) -> str:
    content = request.content
    names = [content["channel"]] if "channel" in content else content.get("channels")
    match request.action:
        case "subscribe":
            channels = conversing.subscribe(connected, names).viewer.channels
            return plain.answer("subscribed", request.id, channels=channels)
        case "unsubscribe":
            channels = conversing.unsubscribe(connected, names).viewer.channels
            return plain.answer("unsubscribed", request.id, channels=channels)
        case "resume":
            epoch, offset = content.get("epoch"), content.get("offset")
            told = conversing.resume(connected, epoch, offset, MAX_BYTES)
            return plain.answer("resumed", request.id, **told)
        case _:
            return plain.answer("connectionId", request.id, connectionId=connected.id)
