"""SQS and Lambda's pollers, as far as the functions need them: what is sent is consumed at once."""

import asyncio
import hashlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from benchmarks.load_workers import Workers
from local import template as sam

# What fails comes back after a second, a few times.
PAUSE_SECONDS = 1
MOST_TRIES = 5


@dataclass(frozen=True)
class Mapping:
    """A queue's consumer, as template.yaml has it."""

    queue: str
    module: str
    batch: int
    at_once: int


def mappings() -> Iterator[Mapping]:
    for _, function in sam.resources(sam.read_template(), sam.FUNCTION):
        for event in function.get("Events", {}).values():
            if event["Type"] == "SQS":
                found = event["Properties"]
                yield Mapping(
                    # `!GetAtt RelayQueue.Arn`
                    found["Queue"]["Fn::GetAtt"][0],
                    function["Handler"].removesuffix(".handler"),
                    found["BatchSize"],
                    found["ScalingConfig"]["MaximumConcurrency"],
                )


class Queues:
    """An address that SQS's clients send to; a queue's URL ends in its name in the template."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._waiting: dict[str, asyncio.Queue[dict[str, Any]]] = {}
        self._consumers: list[asyncio.Task[None]] = []

    def start(self) -> None:
        for mapping in mappings():
            self._waiting[mapping.queue] = asyncio.Queue()
            self._consumers += [
                asyncio.create_task(self._consume(mapping)) for _ in range(mapping.at_once)
            ]

    async def stop(self) -> None:
        for consumer in self._consumers:
            consumer.cancel()
        await asyncio.gather(*self._consumers, return_exceptions=True)

    @property
    def is_idle(self) -> bool:
        return all(queue.empty() for queue in self._waiting.values())

    async def answer(self, request: web.Request) -> web.Response:
        """Take messages, one or a batch, in the JSON protocol; everything else is only answered."""
        operation = request.headers["X-Amz-Target"].rpartition(".")[2]
        asked = json.loads(await request.read())
        self._workers.sent["SQS requests"] += 1
        if not operation.startswith("SendMessage"):
            return web.json_response({"QueueUrl": asked.get("QueueName", "")})
        name = asked["QueueUrl"].rpartition("/")[2]
        entries = asked.get("Entries", [asked])
        taken = [self._take(name, entry) for entry in entries]
        answer = {"Successful": taken, "Failed": []} if "Entries" in asked else taken[0]
        return web.json_response(answer)

    def put(self, name: str, body: str, **more: Any) -> str:
        """Put a message on a queue; returns its id."""
        message = _record(body) | more
        self._waiting[name].put_nowait(message)
        return str(message["messageId"])

    def _take(self, name: str, entry: dict[str, Any]) -> dict[str, str]:
        body = entry["MessageBody"]
        attributes = {
            attribute: {"stringValue": value["StringValue"], "dataType": value["DataType"]}
            for attribute, value in entry.get("MessageAttributes", {}).items()
        }
        message_id = uuid.uuid4().hex
        asyncio.get_running_loop().call_later(
            entry.get("DelaySeconds", 0), lambda: self.put(name, body, messageAttributes=attributes)
        )
        digest = hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()
        return {"Id": entry.get("Id", ""), "MessageId": message_id, "MD5OfMessageBody": digest}

    async def _consume(self, mapping: Mapping) -> None:
        waiting = self._waiting[mapping.queue]
        while True:
            batch = [await waiting.get()]
            while len(batch) < mapping.batch and not waiting.empty():
                batch.append(waiting.get_nowait())
            self._workers.sent["SQS requests"] += 2  # received and deleted, as many at a time
            try:
                result = await self._workers.invoke(
                    mapping.module, {"Records": batch}, by_queue=True
                )
                failed = {item["itemIdentifier"] for item in result["batchItemFailures"]}
            except Exception:  # noqa: BLE001 - counted by the workers; the message comes back
                failed = {record["messageId"] for record in batch}
            for record in batch:
                if record["messageId"] in failed:
                    self._come_back(waiting, record)

    def _come_back(self, waiting: "asyncio.Queue[dict[str, Any]]", record: dict[str, Any]) -> None:
        tries = int(record["attributes"]["ApproximateReceiveCount"])
        if tries < MOST_TRIES:
            again = record | {"attributes": {"ApproximateReceiveCount": str(tries + 1)}}
            asyncio.get_running_loop().call_later(PAUSE_SECONDS, waiting.put_nowait, again)
        else:
            self._workers.errors["dead letters"] += 1


def object_created(key: str) -> str:
    """Return what S3 tells a queue of a new object."""
    return json.dumps(
        {"Records": [{"eventName": "ObjectCreated:Put", "s3": {"object": {"key": key}}}]}
    )


def _record(body: str) -> dict[str, Any]:
    message_id = uuid.uuid4().hex
    return {
        "messageId": message_id,
        "receiptHandle": message_id,
        "body": body,
        "attributes": {"ApproximateReceiveCount": "1"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:{sam.REGION}:000000000000:queue",
    }
