"""An SQS server on loopback for tests: moto at the wire, with every call it got on record.

with run_sqs() as sqs:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", sqs.endpoint)
"""

import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import boto3
from botocore.awsrequest import AWSPreparedRequest
from botocore.compat import HTTPHeaders
from moto.backends import get_backend
from moto.core.botocore_stubber import BotocoreStubber
from moto.core.models import DEFAULT_ACCOUNT_ID

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

REGION = "eu-west-1"
QUEUE = "media-uploaded"
DEAD_LETTERS = "media-uploaded-dead"
VISIBILITY_SECONDS = 180
MAX_RECEIVES = 3

# Status, headers, content.
type Answer = tuple[int, dict[str, Any], Any]


@dataclass
class LocalSqs:
    """The queue `media-uploaded` and its dead letters.

    `refusing` makes each call fail (400); of a batch, messages with `refused_bodies` are not taken.
    """

    endpoint: str
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    refusing: bool = False
    refused_bodies: set[str] = field(default_factory=set)

    @cached_property
    def client(self) -> "SQSClient":
        return boto3.client(
            "sqs",
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    @property
    def url(self) -> str:
        """The queue's address, as a setting names it."""
        return self._url(QUEUE)

    def send(self, body: str) -> None:
        self.client.send_message(QueueUrl=self.url, MessageBody=body)

    def receive(self, queue: str = QUEUE) -> dict[str, Any]:
        """Take what is visible, as the event that Lambda would make of it."""
        found = self.client.receive_message(
            QueueUrl=self._url(queue),
            MaxNumberOfMessages=10,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
            WaitTimeSeconds=0,
        )
        return {"Records": [self._record(message) for message in found.get("Messages", [])]}

    def settle(self, event: dict[str, Any], answer: dict[str, Any]) -> None:
        """Do as Lambda does with the answer: delete what is not reported as failed."""
        failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        for record in event["Records"]:
            if record["messageId"] not in failed:
                self.client.delete_message(
                    QueueUrl=self._url(QUEUE), ReceiptHandle=record["receiptHandle"]
                )

    def held(self, queue: str = QUEUE) -> int:
        """Say how many messages there are, visible or not."""
        found = self.client.get_queue_attributes(QueueUrl=self._url(queue), AttributeNames=["All"])
        visible = int(found["Attributes"]["ApproximateNumberOfMessages"])
        return visible + int(found["Attributes"]["ApproximateNumberOfMessagesNotVisible"])

    def pauses(self) -> list[int]:
        """Return the visibility time-outs that were asked for, in order."""
        return [
            call["VisibilityTimeout"]
            for name, call in self.calls
            if name == "ChangeMessageVisibility"
        ]

    def _url(self, queue: str) -> str:
        return f"https://sqs.{REGION}.amazonaws.com/{DEFAULT_ACCOUNT_ID}/{queue}"

    def _record(self, message: Any) -> dict[str, Any]:
        attributes = message["Attributes"]
        return {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": attributes,
            "messageAttributes": {
                name: {"stringValue": value["StringValue"], "dataType": value["DataType"]}
                for name, value in message.get("MessageAttributes", {}).items()
            },
            "md5OfBody": message["MD5OfBody"],
            "eventSource": "aws:sqs",
            "eventSourceARN": f"arn:aws:sqs:{REGION}:{DEFAULT_ACCOUNT_ID}:{QUEUE}",
            "awsRegion": REGION,
        }


@contextmanager
def run_sqs() -> Iterator[LocalSqs]:
    """Serve the two queues until the block is left."""
    sqs = LocalSqs("")

    class AskMoto(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            name, call = self.headers["X-Amz-Target"].partition(".")[2], json.loads(body or "{}")
            sqs.calls.append((name, call))
            if sqs.refusing:
                answer: Answer = 400, {}, _fault("InvalidSecurity")
            elif name == "SendMessageBatch":
                answer = _send_batch(sqs, self.headers.items(), call)
            else:
                answer = _ask_moto(self.headers.items(), body)
            status, headers, content = answer
            payload = content.encode() if isinstance(content, str) else content
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in {"content-length", "date", "server"}:
                    self.send_header(name, str(value))
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *_: object) -> None:
            """Keep the test run quiet."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 128  # as many may connect at the same moment

    with Server(("127.0.0.1", 0), AskMoto) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01], name="sqs")
        thread.start()
        sqs.endpoint = f"http://127.0.0.1:{server.server_port}"
        try:
            with closing(sqs.client):
                _create_queues(sqs)
                yield sqs
        finally:
            server.shutdown()
            thread.join()
            get_backend("sqs")[DEFAULT_ACCOUNT_ID][REGION].reset()


def _create_queues(sqs: LocalSqs) -> None:
    sqs.client.create_queue(QueueName=DEAD_LETTERS)
    redrive = {
        "deadLetterTargetArn": f"arn:aws:sqs:{REGION}:{DEFAULT_ACCOUNT_ID}:{DEAD_LETTERS}",
        "maxReceiveCount": MAX_RECEIVES,
    }
    sqs.client.create_queue(
        QueueName=QUEUE,
        Attributes={
            "VisibilityTimeout": str(VISIBILITY_SECONDS),
            "RedrivePolicy": json.dumps(redrive),
        },
    )
    sqs.calls.clear()


def _fault(code: str) -> str:
    return json.dumps({"__type": f"com.amazonaws.sqs#{code}"})


def _send_batch(sqs: LocalSqs, headers: Any, call: dict[str, Any]) -> Answer:
    """Give moto, which takes every message, those that are to be taken."""
    refused = [entry for entry in call["Entries"] if entry["MessageBody"] in sqs.refused_bodies]
    taken = [entry for entry in call["Entries"] if entry not in refused]
    content = "{}"
    if taken:
        body = json.dumps(call | {"Entries": taken}).encode()
        status, _, content = _ask_moto(headers, body)
        assert status == 200, content
    failed = [
        {"Id": entry["Id"], "Code": "InternalError", "SenderFault": False} for entry in refused
    ]
    return 200, {}, json.dumps({"Successful": []} | json.loads(content) | {"Failed": failed})


def _ask_moto(headers: Any, body: bytes) -> Answer:
    received = HTTPHeaders()
    for name, value in headers:
        received[name] = f"sqs.{REGION}.amazonaws.com" if name == "Host" else value
    url = f"https://sqs.{REGION}.amazonaws.com/"
    prepared = AWSPreparedRequest("POST", url, received, body, stream_output=False)
    answer = BotocoreStubber().process_request(prepared)
    assert answer is not None
    return answer
