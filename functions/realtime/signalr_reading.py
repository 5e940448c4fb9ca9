"""SignalR's JSON hub protocol, version 1: what is read.

(github.com/dotnet/aspnetcore, src/SignalR/docs/specs/HubProtocol.md)
"""

import json
from dataclasses import dataclass
from typing import Any

from realtime.frames import RECORD_SEPARATOR, FrameRefused, read_object

PROTOCOL, VERSION = "json", 1

# Of one frame. Each is answered, if only by a refusal, and all answers are to fit into one frame.
MAX_RECORDS = 32
MAX_ID_BYTES = 100


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
        raise FrameRefused(
            "A record must end, with 0x1e, in the frame that it begins in; this one doesn't."
        )
    if len(texts) > MAX_RECORDS:
        raise FrameRefused(f"A frame may hold {MAX_RECORDS} records at most.")
    return [_record(read_object(text)) for text in texts]


def _record(content: dict[str, Any]) -> Record:
    kind = content.get("type")
    if kind is None and "protocol" in content:
        return Handshake(_refusal(content))
    if type(kind) is not int:
        raise FrameRefused("A record needs a type.")
    match kind:
        case 1 | 4:  # 4 asks for a stream
            return _invocation(content, streams=kind == 4)
        case 6:
            return Ping()
        case 7:
            return Close()
        case _:
            return Ignored()


def _refusal(content: dict[str, Any]) -> str:
    protocol, version = content["protocol"], content.get("version")
    if protocol != PROTOCOL:
        return f"The protocol '{PROTOCOL}' is spoken here, and no other."
    if type(version) is not int or version != VERSION:
        return f"Version {VERSION} of the protocol is spoken here, and no other."
    return ""


def _invocation(content: dict[str, Any], *, streams: bool) -> Invocation:
    invocation_id, target = content.get("invocationId"), content.get("target")
    arguments = content.get("arguments", [])
    if invocation_id is not None and not _is_id(invocation_id):
        raise FrameRefused("An invocationId is a text of 100 characters at most.")
    if not isinstance(target, str) or not isinstance(arguments, list):
        raise FrameRefused("An invocation needs a target and its arguments.")
    return Invocation(invocation_id, target, arguments, streams)


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and len(json.dumps(value)) <= MAX_ID_BYTES + 2
