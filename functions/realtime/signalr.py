"""SignalR's JSON hub protocol, version 1: what is read and what is written.

(github.com/dotnet/aspnetcore, src/SignalR/docs/specs/HubProtocol.md)
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from realtime.frames import RECORD_SEPARATOR, FrameRefused, is_short, read_object

PROTOCOL, VERSION = "json", 1

# Of one frame. Each is answered, if only by a refusal, and all answers are to fit into one frame.
MAX_RECORDS = 32

UNFINISHED = "A record must end, with 0x1e, in the frame that it begins in; this one doesn't."
NO_TYPE = "A record needs a type."
# After it a client may come back, with another token.
ENDED = "The session has ended."
# Why a connection is closed whose client may come back. Who never became ready hears nothing.
REASONS = {"session_ended": ENDED, "token_expired": "The token has expired."}

PING = '{"type":6}' + RECORD_SEPARATOR
HANDSHAKE_ANSWER = "{}" + RECORD_SEPARATOR


@dataclass(frozen=True)
class Handshake:
    """The first record of a connection; `refusal` says what is wrong with it, or is empty."""

    refusal: str


@dataclass(frozen=True)
class Ping:
    """The client is there, and wants to know the same."""


@dataclass(frozen=True)
class Close:
    """The client goes."""


@dataclass(frozen=True)
class Invocation:
    """A call; without an `id` nobody waits for its answer."""

    id: str | None
    target: str
    arguments: list[Any]
    streams: bool = False


@dataclass(frozen=True)
class Ignored:
    """What is of no consequence here: completions, stream items, and kinds that are yet to come."""


type Record = Handshake | Ping | Close | Invocation | Ignored


def read(body: str) -> list[Record]:
    """Return the records of a frame.

    Raises:
        FrameRefused: one of them is not complete, or breaks the protocol.

    """
    *texts, rest = body.split(RECORD_SEPARATOR)
    if rest:
        raise FrameRefused(UNFINISHED)
    if len(texts) > MAX_RECORDS:
        raise FrameRefused(f"A frame may hold {MAX_RECORDS} records at most.")
    return [_record_of(read_object(text)) for text in texts]


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


def _record_of(content: dict[str, Any]) -> Record:
    kind = content.get("type")
    if kind is None and "protocol" in content:
        return Handshake(_handshake_refusal(content))
    if type(kind) is not int:
        raise FrameRefused(NO_TYPE)
    match kind:
        case 1 | 4:  # 4 asks for a stream
            return _invocation_of(content, streams=kind == 4)
        case 6:
            return Ping()
        case 7:
            return Close()
        case _:
            return Ignored()


def _handshake_refusal(content: dict[str, Any]) -> str:
    protocol, version = content["protocol"], content.get("version")
    if protocol != PROTOCOL:
        return f"The protocol '{PROTOCOL}' is spoken here, and no other."
    if type(version) is not int or version != VERSION:
        return f"Version {VERSION} of the protocol is spoken here, and no other."
    return ""


def _invocation_of(content: dict[str, Any], *, streams: bool) -> Invocation:
    invocation_id, target = content.get("invocationId"), content.get("target")
    arguments = content.get("arguments", [])
    if invocation_id is not None and not is_short(invocation_id):
        raise FrameRefused("An invocationId is a text of 100 characters at most.")
    if not isinstance(target, str) or not isinstance(arguments, list):
        raise FrameRefused("An invocation needs a target and its arguments.")
    return Invocation(invocation_id, target, arguments, streams)


def _record(content: Mapping[str, Any]) -> str:
    return json.dumps(content, separators=(",", ":")) + RECORD_SEPARATOR
