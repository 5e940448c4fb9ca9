"""The assembler of uploads in a thread of this process, fed by its queue."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING

from tests.support.gateway import LambdaContext

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

LAMBDA_MILLISECONDS = 120_000


@contextmanager
def assembling(sqs: "SQSClient", queue: str, seconds: SimpleQueue[float]) -> Iterator[None]:
    """Run the assembler on what its queue gives, as Lambda does; what fails comes again at once.

    `seconds` gets how long each run took.
    """
    from uploads import assemble_upload  # noqa: PLC0415 - it reads the environment

    stopped = threading.Event()

    def work(message: "MessageTypeDef") -> None:
        record = {
            "messageId": message["MessageId"],
            "body": message["Body"],
            "receiptHandle": message["ReceiptHandle"],
            "attributes": {"ApproximateReceiveCount": "1"},
            "messageAttributes": {},
            "eventSource": "aws:sqs",
        }
        began = time.perf_counter()
        result = assemble_upload.handler({"Records": [record]}, LambdaContext(LAMBDA_MILLISECONDS))
        seconds.put(time.perf_counter() - began)
        if result["batchItemFailures"]:
            sqs.change_message_visibility(
                QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
            )
        else:
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])

    def listen() -> None:
        while not stopped.is_set():
            found = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1)
            for message in found.get("Messages", []):
                work(message)

    worker = threading.Thread(target=listen, name="assembler")
    worker.start()
    try:
        yield
    finally:
        stopped.set()
        worker.join()
