"""From a commit to every phone, on a local stack of its own.

    python -m benchmarks.realtime [--connections 200] [--broadcasts 60]

Plain clients are connected; an admin has changes announced to everybody, one after the other. Each
client's time is taken from when the change's transaction began, as its event says, to when the
client has it: a little more than from the commit. What the local cloud takes by itself is measured
apart, idle, with functions that do nothing. Exit code 1 when the 95th percentile is over a second,
or something never arrived.
"""

import argparse
import asyncio
import io
import json
import os
import shutil
import sys
import tempfile
import time
import zipfile
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import boto3
from rich.console import Console
from rich.table import Table

from local.accounts import PASSWORD, PHONES
from local.cloud import ACCOUNT, SECRET
from local.front_door import HUB_PATH
from local.template import REGION, ROOT
from tests.support.ports import free_port_pair

MOST_SECONDS = 1.0  # at the 95th percentile
WAIT_SECONDS = 30
PACE_SECONDS = 0.5  # from one broadcast to the next: what an admin may in a minute is limited
SAMPLES = 30
PERCENTS = (50, 95, 100)
EMPTY = "def handler(event, context):\n    print('END')\n"
NOTING = (
    "import time\n"
    "def handler(event, context):\n"
    "    with open({path!r}, 'a') as file:\n"
    "        print(time.time(), file=file)\n"
    "    print('END')\n"
)

_say = Console(stderr=True).print


class Audience:
    """Everybody who is connected; `heard` has, by entity, when each had it."""

    def __init__(self) -> None:
        self.heard: defaultdict[str, list[float]] = defaultdict(list)
        self.seconds: list[float] = []
        self._news = asyncio.Event()

    async def listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            now = time.time()
            update = json.loads(message.data)
            if update["type"] == "update":
                changed = datetime.fromisoformat(update["timestamp"]).timestamp()
                self.seconds.append(now - changed)
                self.heard[update["data"]["entityId"]].append(now)
                self._news.set()

    async def all_heard(self, entity_id: str, listeners: int) -> bool:
        """Wait until everybody has heard of it; False when they don't in time."""
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while len(self.heard[entity_id]) < listeners:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return False
        return True


class Stack:
    """A running stack, and a client session that keeps no connection from another."""

    def __init__(self, url: str, addresses: dict[str, str], session: aiohttp.ClientSession) -> None:
        self.url, self.cloud_url, self.session = url, addresses["cloud"], session

    async def sign_in(self, role: str) -> dict[str, str]:
        """Sign in as somebody new; returns the headers that say who it is."""
        person = Person(PASSWORD, self._password_hash, next(self._phones), email=None, roles=[role])
        register(self._database, person)
        credentials = {"identifier": person.phone, "password": PASSWORD}
        async with self.session.post(f"{self.url}/api/v1/auth/login", json=credentials) as answer:
            token = (await answer.json())["data"]["accessToken"]
        return {"Authorization": f"Bearer {token}"}

    async def connect(self, headers: dict[str, str]) -> aiohttp.ClientWebSocketResponse:
        """Connect with a plain client, and return when it is ready."""
        socket = await self.session.ws_connect(self.url + HUB_PATH, headers=headers)
        await socket.send_json({"action": "getConnectionId"})
        assert (await socket.receive_json())["type"] == "connectionId"
        return socket

    async def announce(self, headers: dict[str, str], entity_id: str) -> None:
        body = {"entityType": "shipments", "entityId": entity_id, "action": "moved"}
        address = f"{self.url}/api/v1/realtime/broadcast"
        while True:
            async with self.session.post(address, json=body, headers=headers) as answer:
                if answer.status == 202:
                    return
                assert answer.status == 429, await answer.text()
                await asyncio.sleep(float(answer.headers["Retry-After"]))

    def client(self, service: str) -> Any:
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self.cloud_url,
            region_name=REGION,
            aws_access_key_id=ACCOUNT,
            aws_secret_access_key=SECRET,
        )


@asynccontextmanager
async def running(directory: Path) -> AsyncIterator[Stack]:
    """Run `make up`'s command until the block is left."""
    port, data = free_port_pair(), directory / "stack"
    environment = {"PORT": str(port), "FIELDGATE_DATA_DIR": str(data)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "local", "up"),
        cwd=ROOT,
        env=os.environ | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        assert b"ready" in await process.stdout.readline(), "the stack did not start: make up"
        addresses = json.loads((data / "stack.json").read_text())
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            yield Stack(f"http://127.0.0.1:{port}", addresses, session)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def measure(stack: Stack, connections: int, broadcasts: int) -> tuple[Audience, int]:
    """Announce changes to so many connections; returns what they heard, and what never arrived."""
    agent, admin = await stack.sign_in("agent"), await stack.sign_in("admin")
    began = time.monotonic()
    sockets = [await stack.connect(agent)]  # which starts the functions
    sockets += await asyncio.gather(*(stack.connect(agent) for _ in range(connections - 1)))
    _say(f"{connections} connections in {time.monotonic() - began:.1f} s")
    audience, lost = Audience(), 0
    listening = [asyncio.create_task(audience.listen(socket)) for socket in sockets]
    for n in range(3):  # what has to start, starts
        await stack.announce(admin, f"first-{n}")
        await audience.all_heard(f"first-{n}", connections)
    audience.seconds.clear()
    for n in range(broadcasts):
        next_one = time.monotonic() + PACE_SECONDS
        await stack.announce(admin, f"change-{n}")
        if not await audience.all_heard(f"change-{n}", connections):
            lost += connections - len(audience.heard[f"change-{n}"])
        await asyncio.sleep(max(0, next_one - time.monotonic()))
    for task, socket in zip(listening, sockets, strict=True):
        task.cancel()
        await socket.close()
    return audience, lost


class Cloud:
    """What the local cloud takes by itself."""

    def __init__(self, stack: Stack, directory: Path) -> None:
        self._stack = stack
        self._lambda = stack.client("lambda")
        self._sqs = stack.client("sqs")
        self._notes = directory / "notes.txt"

    def invocation(self) -> list[float]:
        """Time an empty function's invocations, warm."""
        name = self._create("empty", EMPTY)
        self._lambda.invoke(FunctionName=name)

        def invoke() -> None:
            self._lambda.invoke(FunctionName=name)["Payload"].read()

        return [_timed(invoke) for _ in range(SAMPLES)]

    def message(self) -> list[float]:
        """Time from sending a message to when its function runs."""
        name = self._create("noting", NOTING.format(path=str(self._notes)))
        queue = self._sqs.create_queue(QueueName="measured")["QueueUrl"]
        asked = self._sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        self._lambda.create_event_source_mapping(
            EventSourceArn=asked["Attributes"]["QueueArn"], FunctionName=name, BatchSize=1
        )
        taken = []
        for n in range(SAMPLES + 1):
            sent = time.time()
            self._sqs.send_message(QueueUrl=queue, MessageBody="now")
            while len(noted := self._noted()) <= n:
                time.sleep(0.001)
            taken.append(noted[n] - sent)
        return taken[1:]

    async def posts(self, connections: int) -> list[float]:
        """Time from posting to as many connections to when the last has it."""
        headers = await self._stack.sign_in("agent")
        sockets = await asyncio.gather(*(self._stack.connect(headers) for _ in range(connections)))
        ids = await asyncio.gather(*map(_id_of, sockets))
        apis = self._stack.client("apigatewayv2").get_apis()["Items"]
        (api,) = (api["ApiId"] for api in apis if api["ProtocolType"] == "WEBSOCKET")
        base = f"{self._stack.cloud_url}/_aws/execute-api/{api}/live/@connections"

        async def post(connection_id: str) -> None:
            address = f"{base}/{connection_id}"
            async with at_once, self._stack.session.post(address, data="{}") as answer:
                assert answer.status == 200

        at_once = asyncio.Semaphore(64)  # as the workers do
        taken = []
        for _ in range(SAMPLES // 3):
            began = time.perf_counter()
            received = asyncio.gather(*(socket.receive() for socket in sockets))
            await asyncio.gather(*map(post, ids))
            await received
            taken.append(time.perf_counter() - began)
        for socket in sockets:
            await socket.close()
        return taken

    def _create(self, name: str, source: str) -> str:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("index.py", source)
        self._lambda.create_function(
            FunctionName=name,
            Runtime="python3.13",
            Role=f"arn:aws:iam::{ACCOUNT}:role/measured",
            Handler="index.handler",
            Code={"ZipFile": packed.getvalue()},
        )
        return name

    def _noted(self) -> list[float]:
        # Whole lines only.
        text = self._notes.read_text() if self._notes.exists() else ""
        return [float(line) for line in text.rpartition("\n")[0].split()]


async def _id_of(socket: aiohttp.ClientWebSocketResponse) -> str:
    await socket.send_json({"action": "getConnectionId"})
    return str((await socket.receive_json())["connectionId"])


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


async def run(connections: int, broadcasts: int) -> int:
    """Measure, print, and return the exit code."""
    directory = Path(tempfile.mkdtemp(prefix="fieldgate-realtime-"))
    try:
        async with running(directory) as stack:
            audience, lost = await measure(stack, connections, broadcasts)
            cloud = Cloud(stack, directory)
            posts = await cloud.posts(connections)
            invocation = await asyncio.to_thread(cloud.invocation)
            message = await asyncio.to_thread(cloud.message)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    table = Table(
        "milliseconds", *(f"p{percent}" for percent in (50, 95, 100)), title_justify="left"
    )
    table.title = f"{broadcasts} broadcasts to {connections} connections"
    rows = {
        "from commit to received": audience.seconds,
        "of it the local cloud's own:": [],
        "  from a message to its function (twice in it)": message,
        "  an empty function (twice in it)": invocation,
        f"  {connections} posts, until the last is received": posts,
    }
    for name, seconds in rows.items():
        table.add_row(name, *(_shown(seconds, percent) for percent in PERCENTS))
    Console().print(table)
    if lost:
        _say(f"[red]{lost} never arrived")
    is_late = not audience.seconds or _percentile(audience.seconds, 95) > MOST_SECONDS
    if is_late:
        _say(f"[red]the 95th percentile is over {MOST_SECONDS:g} s")
    return int(bool(lost) or is_late)


def _percentile(seconds: list[float], percent: int) -> float:
    ordered = sorted(seconds)
    return ordered[-(-len(ordered) * percent // 100) - 1]


def _shown(seconds: list[float], percent: int) -> str:
    return f"{_percentile(seconds, percent) * 1000:.0f}" if seconds else ""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.realtime")
    parser.add_argument("--connections", type=int, default=200)
    parser.add_argument("--broadcasts", type=int, default=60)
    arguments = parser.parse_args()
    sys.exit(asyncio.run(run(arguments.connections, arguments.broadcasts)))
