"""SQS: sending; consuming with partial batch failures, and how soon a failed message comes back.

What a consumer raises decides what becomes of the message. `PoisonMessage` says that no repeat
will help: the message is made visible at once, so that its few receives are used up in seconds
and it lands in the dead-letter queue. Anything else is taken for a passing fault and comes back
after a growing pause.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from fieldgate import deadline, request_id
from fieldgate.errors import Unavailable
from fieldgate.observability import logger
from fieldgate.settings import once

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import (
        MessageAttributeValueTypeDef,
        SendMessageBatchRequestEntryTypeDef,
    )

# With the twelve receives that template.yaml gives a queue, an outage may last for over an hour.
FIRST_PAUSE_SECONDS = 10
LONGEST_PAUSE_SECONDS = 900
# Kept of a function's time for what was begun last (storage: 17 s at worst), the work to be given
# back (4 s) and the message (6 s).
RESERVE_SECONDS = 28
# The most that SQS takes in one call.
BATCH = 10
# The message attribute that carries the request id from who sends to who consumes.
REQUEST_ID = "request_id"
SENTENCE = "The queue does not take messages right now."


class PoisonMessage(Exception):
    """The message itself is wrong; it belongs in the dead-letter queue."""


def send(queue_url: str, body: str) -> None:
    """Put a message on a queue, with the request id in force; waits 3 seconds at most.

    Raises:
        Unavailable: it was not taken, as far as one can tell.

    """
    from botocore.exceptions import BotoCoreError, ClientError

    deadline.seconds_left()
    try:
        _client().send_message(
            QueueUrl=queue_url, MessageBody=body, MessageAttributes=_attributes()
        )
    except (BotoCoreError, ClientError) as error:
        raise Unavailable(SENTENCE) from error


def send_batch(queue_url: str, bodies: Sequence[str], *, delay_seconds: int = 0) -> int:
    """Put up to `BATCH` messages on a queue in one call, each as `send` does.

    Nobody sees them before `delay_seconds` are over, of which SQS allows 900.

    Returns:
        How many were taken.

    Raises:
        Unavailable: none was, as far as one can tell.

    """
    from botocore.exceptions import BotoCoreError, ClientError

    deadline.seconds_left()
    attributes = _attributes()
    entries: list[SendMessageBatchRequestEntryTypeDef] = [
        {
            "Id": str(number),
            "MessageBody": body,
            "MessageAttributes": attributes,
            "DelaySeconds": delay_seconds,
        }
        for number, body in enumerate(bodies)
    ]
    try:
        answer = _client().send_message_batch(QueueUrl=queue_url, Entries=entries)
    except (BotoCoreError, ClientError) as error:
        raise Unavailable(SENTENCE) from error
    return len(answer.get("Successful", []))


def look(queue_url: str) -> None:
    """See that a queue can be reached; waits 3 seconds at most.

    Raises:
        Unavailable: it can't be.

    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        _client().get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])
    except (BotoCoreError, ClientError) as error:
        raise Unavailable(SENTENCE) from error


def consume(
    event: dict[str, Any], context: Any, handle: Callable[[str], None]
) -> dict[str, list[dict[str, str]]]:
    """Give each message's body to `handle` and report the failed ones back to SQS.

    `handle` may see a message more than once, and must not mind. It works under the request id
    that the message carries, or else under the message's own id.

    Returns:
        `{"batchItemFailures": [...]}`: the messages that SQS is to keep.

    """
    from aws_lambda_powertools.utilities.batch import (
        BatchProcessor,
        EventType,
        process_partial_response,
    )

    def handle_record(record: "SQSRecord") -> None:
        sent = record.message_attributes[REQUEST_ID]
        carried = sent.string_value if sent else None
        logger().append_keys(request_id=request_id.adopt(carried, record.message_id))
        try:
            handle(record.body)
        except Exception as error:
            logger().exception("message failed", extra={"message_id": record.message_id})
            pause = pause_seconds(int(record.attributes.approximate_receive_count))
            _set_visibility(record, 0 if isinstance(error, PoisonMessage) else pause)
            raise

    # Without the flag Powertools raises when every message failed, which would count as an error
    # of the function and say nothing that the answer doesn't say.
    processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
    with deadline.within(context.get_remaining_time_in_millis() / 1000 - RESERVE_SECONDS):
        return process_partial_response(  # type: ignore[return-value]
            event=event, record_handler=handle_record, processor=processor, context=context
        )


def pause_seconds(receives: int) -> int:
    """Return how long a message rests that failed when it was received for the n-th time."""
    return min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS << (receives - 1))


def _attributes() -> "dict[str, MessageAttributeValueTypeDef]":
    current = request_id.current()
    return {REQUEST_ID: {"DataType": "String", "StringValue": current}} if current else {}


def _set_visibility(record: "SQSRecord", seconds: int) -> None:
    """Set when the message is seen again; if that fails, the queue's own time-out does it."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        _client().change_message_visibility(
            QueueUrl=_queue_url(record.event_source_arn),
            ReceiptHandle=record.receipt_handle,
            VisibilityTimeout=seconds,
        )
    except (BotoCoreError, ClientError) as error:
        logger().warning("visibility not changed", extra={"reason": type(error).__name__})


@once
def _client() -> "SQSClient":
    import boto3
    from botocore.config import Config

    return boto3.client(
        "sqs",
        config=Config(
            connect_timeout=1,
            read_timeout=2,
            # The queue's own time-out is there where this fails.
            retries={"mode": "standard", "total_max_attempts": 1},
        ),
    )


@once
def _queue_url(arn: str) -> str:
    name = arn.rpartition(":")[2]
    return _client().get_queue_url(QueueName=name)["QueueUrl"]
