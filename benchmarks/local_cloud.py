"""What the local cloud takes by itself, measured with functions that do nothing.

All on a stack that does nothing else meanwhile, in seconds.
"""

import asyncio
import io
import time
import zipfile
from pathlib import Path

from benchmarks.stack import Stack, connection_id
from local.cloud import ACCOUNT

SAMPLES = 30
POSTS_AT_ONCE = 64  # as the workers of the fan-out

_EMPTY = "def handler(event, context):\n    print('END')\n"
_NOTING = (
    "import time\n"
    "def handler(event, context):\n"
    "    with open({path!r}, 'a') as file:\n"
    "        print(time.time(), file=file)\n"
    "    print('END')\n"
)


def invocations(stack: Stack) -> list[float]:
    """Time an empty function's invocations, warm."""
    client = stack.client("lambda")
    name = _create(stack, "empty", _EMPTY)
    client.invoke(FunctionName=name)
    taken = []
    for _ in range(SAMPLES):
        began = time.perf_counter()
        client.invoke(FunctionName=name)["Payload"].read()
        taken.append(time.perf_counter() - began)
    return taken


def messages(stack: Stack, directory: Path) -> list[float]:
    """Time from sending a message to when the function of its queue runs."""
    notes = directory / "notes.txt"
    notes.touch()
    name = _create(stack, "noting", _NOTING.format(path=str(notes)))
    sqs = stack.client("sqs")
    queue = sqs.create_queue(QueueName="measured")["QueueUrl"]
    asked = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    stack.client("lambda").create_event_source_mapping(
        EventSourceArn=asked["Attributes"]["QueueArn"], FunctionName=name, BatchSize=1
    )
    taken = []
    for n in range(SAMPLES + 1):
        sent = time.time()
        sqs.send_message(QueueUrl=queue, MessageBody="now")
        while len(noted := notes.read_text().rpartition("\n")[0].split()) <= n:
            time.sleep(0.001)
        taken.append(float(noted[n]) - sent)
    return taken[1:]


async def posts(stack: Stack, connections: int) -> list[float]:
    """Time from beginning to post to as many connections to when the last has it."""
    sockets = await stack.connect(connections)
    ids = await asyncio.gather(*map(connection_id, sockets))
    apis = stack.client("apigatewayv2").get_apis()["Items"]
    (api,) = (api["ApiId"] for api in apis if api["ProtocolType"] == "WEBSOCKET")
    base = f"{stack.cloud_url}/_aws/execute-api/{api}/live/@connections"
    at_once = asyncio.Semaphore(POSTS_AT_ONCE)

    async def post(connection: str) -> None:
        async with at_once, stack.session.post(f"{base}/{connection}", data="{}") as answer:
            assert answer.status == 200

    taken = []
    for _ in range(SAMPLES // 3):
        began = time.perf_counter()
        await asyncio.gather(*map(post, ids))
        await asyncio.gather(*(socket.receive() for socket in sockets))
        taken.append(time.perf_counter() - began)
    await asyncio.gather(*(socket.close() for socket in sockets))
    return taken


def _create(stack: Stack, name: str, source: str) -> str:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("index.py", source)
    stack.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role=f"arn:aws:iam::{ACCOUNT}:role/measured",
        Handler="index.handler",
        Code={"ZipFile": packed.getvalue()},
    )
    return name
