"""What functions log: which of it is an error, which an exception, and how it is copied."""

import json
import re
from dataclasses import dataclass
from typing import Any

from fieldgate.observability import mask

# PutLogEvents takes 256 KB a line, of which 26 bytes are its own.
MOST_BYTES = 262_144 - 26
# Of a longer one the beginning is kept: written as JSON a character takes six bytes at most, and
# what stands beside it is never as long as the rest.
MOST_CHARACTERS = 40_000
ERRORS, EXCEPTIONS = "errors", "exceptions"

# What the runtime and the platform say, as plain text, of an exception that nobody caught, a
# module that can't be imported, a time-out, a process that ended or had no memory left.
_CRASH = re.compile(
    r"^\[(?:ERROR|CRITICAL)\]|Traceback \(most recent call last\)|Task timed out after|"
    r"Runtime exited|Runtime\.\w+Error|Runtime\.OutOfMemory|\bStatus: (?:error|timeout)\b"
)


@dataclass(frozen=True)
class Line:
    """A line of a log; `id` is CloudWatch's, the same whenever the line is delivered."""

    id: str
    timestamp: int  # milliseconds since 1970
    message: str


@dataclass(frozen=True)
class Delivery:
    """What CloudWatch Logs hands over at once: lines of one stream."""

    log_group: str
    log_stream: str
    lines: tuple[Line, ...]


def read(event: dict[str, Any]) -> Delivery | None:
    """Read the event of a subscription; None where CloudWatch only asks whether we are here."""
    from aws_lambda_powertools.utilities.data_classes import CloudWatchLogsEvent

    said = CloudWatchLogsEvent(event).parse_logs_data()
    if said.message_type != "DATA_MESSAGE":
        return None
    lines = [Line(line.get_id, line.timestamp, line.message) for line in said.log_events]
    return Delivery(said.log_group, said.log_stream, tuple(lines))


def kinds(message: str) -> set[str]:
    """Say what a line is: an error, an exception, both or neither."""
    said = _fields(message)
    if said is None:
        return {ERRORS, EXCEPTIONS} if _CRASH.search(message) else set()
    found = {ERRORS} if said.get("level") in ("ERROR", "CRITICAL") else set()
    return found | ({EXCEPTIONS} if said.get("exception") else set())


def copied(line: Line, delivery: Delivery) -> str:
    """Return what is kept of a line: its fields, masked, and where it comes from."""
    said = _fields(line.message)
    if said is None:
        said = {"level": "ERROR", "message": mask(line.message)}
    origin = {"id": line.id, "log_group": delivery.log_group, "log_stream": delivery.log_stream}
    text = _json(said | {"copied_from": origin})
    if len(text.encode()) > MOST_BYTES:
        beginning = mask(line.message[:MOST_CHARACTERS])
        text = _json({"level": "ERROR", "message": beginning, "cut": True, "copied_from": origin})
    return text


def copied_id(message: str) -> str | None:
    """Return the id of the line that `message` is a copy of."""
    origin = (_fields(message) or {}).get("copied_from")
    found = origin.get("id") if isinstance(origin, dict) else None
    return found if isinstance(found, str) else None


def _fields(message: str) -> dict[str, Any] | None:
    """Return what a line says in JSON, masked: others than our logger may write it."""
    try:
        said = mask(json.loads(message))
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def _json(said: dict[str, Any]) -> str:
    # A lone half of a pair of surrogates can't be sent.
    text = json.dumps(said, ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="replace").decode()
