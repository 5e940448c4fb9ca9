"""The log groups of errors and of exceptions, and writing to them.

https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
"""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fieldgate.observability import logger
from fieldgate.settings import Settings, once
from operations.log_lines import ERRORS, EXCEPTIONS, Delivery, copied, copied_id, kinds

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_logs.type_defs import InputLogEventTypeDef

# What PutLogEvents takes at once: lines, bytes (26 for each line's own), time between them.
MOST_LINES = 10_000
MOST_BYTES = 1_048_576
LINE_BYTES = 26
MOST_MILLISECONDS = 24 * 3_600_000
# A delivery is seconds old. Lambda tries again after a minute what failed, which may have been
# only half of it.
SECOND_TRY_MILLISECONDS = 45_000


class KeptLogsSettings(Settings):
    """Where lines are copied to, by the names of log groups."""

    errors_log_group: str
    exceptions_log_group: str


def keep(delivery: Delivery, settings: KeptLogsSettings) -> dict[str, int]:
    """Copy a delivery's errors and exceptions; say how many, by kind.

    What an earlier try has copied is not copied again.

    Raises:
        ClientError, BotoCoreError: CloudWatch Logs didn't take them; to be tried again.

    """
    groups = {ERRORS: settings.errors_log_group, EXCEPTIONS: settings.exceptions_log_group}
    return {kind: _keep(delivery, kind, group) for kind, group in groups.items()}


def _keep(delivery: Delivery, kind: str, group: str) -> int:
    lines = sorted(delivery.lines, key=lambda line: line.timestamp)
    events: list[InputLogEventTypeDef] = [
        {"timestamp": line.timestamp, "message": copied(line, delivery)}
        for line in lines
        if kind in kinds(line.message)
    ]
    if not events:
        return 0
    stream = _stream(delivery, events[0]["timestamp"])
    known = _known(group, stream, events)
    events = [event for event in events if copied_id(event["message"]) not in known]
    for batch in batches(events):
        _put(group, stream, batch)
    return len(events)


def batches(
    events: "Sequence[InputLogEventTypeDef]",
) -> "Iterator[list[InputLogEventTypeDef]]":
    """Divide events, the oldest first, into what one call takes."""
    batch: list[InputLogEventTypeDef] = []
    size = 0
    for event in events:
        bytes_ = len(event["message"].encode()) + LINE_BYTES
        if batch and (
            len(batch) == MOST_LINES
            or size + bytes_ > MOST_BYTES
            or event["timestamp"] - batch[0]["timestamp"] >= MOST_MILLISECONDS
        ):
            yield batch
            batch, size = [], 0
        batch.append(event)
        size += bytes_
    if batch:
        yield batch


def _stream(delivery: Delivery, timestamp: int) -> str:
    """Return where a day's lines of a domain go: the same place at every try."""
    day = datetime.fromtimestamp(timestamp / 1000, UTC)
    return f"{day:%Y/%m/%d}/{delivery.log_group.rpartition('/')[2]}"


def _known(group: str, stream: str, events: "Sequence[InputLogEventTypeDef]") -> set[str | None]:
    """Return the ids of what is there already of the time that `events` are of."""
    newest = events[-1]["timestamp"]
    if time.time() * 1000 - newest < SECOND_TRY_MILLISECONDS:
        return set()
    found: set[str | None] = set()
    token: dict[str, str] = {}
    while True:
        try:
            page = _client().get_log_events(
                logGroupName=group,
                logStreamName=stream,
                startTime=events[0]["timestamp"],
                endTime=newest + 1,
                startFromHead=True,
                **token,  # type: ignore[arg-type]
            )
        except _client().exceptions.ResourceNotFoundException:
            return found
        found |= {copied_id(event["message"]) for event in page["events"]}
        if page["nextForwardToken"] == token.get("nextToken"):
            return found
        token = {"nextToken": page["nextForwardToken"]}


def _put(group: str, stream: str, batch: "list[InputLogEventTypeDef]") -> None:
    try:
        answer = _client().put_log_events(logGroupName=group, logStreamName=stream, logEvents=batch)
    except _client().exceptions.ResourceNotFoundException:
        _create(group, stream)
        answer = _client().put_log_events(logGroupName=group, logStreamName=stream, logEvents=batch)
    if refused := answer.get("rejectedLogEventsInfo"):
        logger().warning("lines too old or too new to be kept", extra={"refused": refused})


def _create(group: str, stream: str) -> None:
    try:
        _client().create_log_stream(logGroupName=group, logStreamName=stream)
    except _client().exceptions.ResourceAlreadyExistsException:
        pass  # by another, just now


@once
def _client() -> "CloudWatchLogsClient":
    import boto3
    from botocore.config import Config

    return boto3.client(
        "logs",
        config=Config(
            connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3}
        ),
    )
