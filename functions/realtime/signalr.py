"""SignalR's JSON hub protocol, version 1: what is written.

(github.com/dotnet/aspnetcore, src/SignalR/docs/specs/HubProtocol.md)
"""

import json
from collections.abc import Mapping
from typing import Any

RECORD_SEPARATOR = "\x1e"

PING = '{"type":6}' + RECORD_SEPARATOR
HANDSHAKE_ANSWER = "{}" + RECORD_SEPARATOR


def invocation(target: str, argument: Mapping[str, Any]) -> str:
    """Return the call of a client's method with one argument, to which no answer is wanted."""
    return _record({"type": 1, "target": target, "arguments": [argument]})


def completion(invocation_id: str, result: Any) -> str:
    """Return the answer to a call."""
    return _record({"type": 3, "invocationId": invocation_id, "result": result})


def failed_completion(invocation_id: str, error: str) -> str:
    """Return the refusal of a call; `error` is a sentence of ours."""
    return _record({"type": 3, "invocationId": invocation_id, "error": error})


def close(error: str | None = None, *, allow_reconnect: bool) -> str:
    """Return the record that ends a connection; the client stays away unless it may come back."""
    record: dict[str, Any] = {"type": 7, "allowReconnect": allow_reconnect}
    return _record(record if error is None else record | {"error": error})


def failed_handshake(error: str) -> str:
    return _record({"error": error})


def _record(content: Mapping[str, Any]) -> str:
    return json.dumps(content, separators=(",", ":")) + RECORD_SEPARATOR
