"""From a commit to every phone, on a local stack of its own.

    python -m benchmarks.realtime [--connections 200] [--broadcasts 60]

Plain clients are connected; admins have changes announced to everybody, one after the other. A
client's time is from when the change's transaction began, as its event says, to when the client has
it: a little more than from the commit. What the local cloud takes by itself is measured apart. Exit
code 1 when the 95th percentile is over a second, or something never arrived.
"""

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from datetime import datetime
from pathlib import Path

import aiohttp
from rich.console import Console

from benchmarks import local_cloud
from benchmarks.results import Comparison, Section, Table, publish
from benchmarks.stack import Stack, running

MOST_SECONDS = 1.0  # at the 95th percentile
PERCENTS = (50, 95, 100)
WAIT_SECONDS = 30
PACE_SECONDS = 0.5  # from one broadcast to the next
ADMINS = 4  # each may announce 30 changes a minute, 50 at once

_say = Console(stderr=True).print


class Audience:
    """Everybody who is connected: how long each event took to each, and how many had it."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.had: Counter[str] = Counter()
        self._news = asyncio.Event()

    async def listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            now = time.time()
            update = json.loads(message.data)
            if update["type"] == "update":
                self.seconds.append(now - datetime.fromisoformat(update["timestamp"]).timestamp())
                self.had[update["data"].get("entityId", "")] += 1
                self._news.set()

    async def have(self, entity_id: str, listeners: int) -> int:
        """Wait until all have heard of it; return how many haven't when the time is up."""
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while self.had[entity_id] < listeners:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            pass
        return listeners - self.had[entity_id]


async def measure(stack: Stack, connections: int, broadcasts: int) -> tuple[Audience, int]:
    """Announce changes to so many connections; returns what they heard, and what they lost."""
    admins = [await stack.sign_in("admin") for _ in range(ADMINS)]
    began = time.monotonic()
    sockets = await stack.connect(connections)
    _say(f"{connections} connections in {time.monotonic() - began:.1f} s")
    audience, lost = Audience(), 0
    listening = [asyncio.create_task(audience.listen(socket)) for socket in sockets]
    for n in range(-3, broadcasts):
        if n == 0:  # what had to start has started
            audience.seconds.clear()
        next_one = time.monotonic() + PACE_SECONDS
        await _announce(stack, admins[n % ADMINS], f"change-{n}")
        lost += await audience.have(f"change-{n}", connections)
        await asyncio.sleep(max(0, next_one - time.monotonic()))
    for task in listening:
        task.cancel()
    await asyncio.gather(*listening, return_exceptions=True)
    await asyncio.gather(*(socket.close() for socket in sockets))
    return audience, lost


async def _announce(stack: Stack, admin: dict[str, str], entity_id: str) -> None:
    body = {"entityType": "shipments", "entityId": entity_id, "action": "moved"}
    address = f"{stack.url}/api/v1/realtime/broadcast"
    while True:
        async with stack.session.post(address, json=body, headers=admin) as answer:
            if answer.status == 202:
                return
            if answer.status != 429:
                raise RuntimeError(await answer.text())
            await asyncio.sleep(float(answer.headers["Retry-After"]))


async def run(connections: int, broadcasts: int) -> int:
    """Measure, print, and return the exit code."""
    directory = Path(tempfile.mkdtemp(prefix="fieldgate-realtime-"))
    try:
        async with running(directory) as stack:
            audience, lost = await measure(stack, connections, broadcasts)
            posts = await local_cloud.posts(stack, connections)
            invocations = await asyncio.to_thread(local_cloud.invocations, stack)
            messages = await asyncio.to_thread(local_cloud.messages, stack, directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    if lost:
        _say(f"[red]{lost} never arrived")
    own = {
        "from a message to its function (twice on the way)": messages,
        "to invoke an empty function (in that)": invocations,
        f"{connections} posts, until the last is received": posts,
    }
    return publish(section(audience, lost, own, broadcasts, connections))


def section(
    audience: Audience, lost: int, own: dict[str, list[float]], broadcasts: int, connections: int
) -> Section:
    """Return the figures as they are published; `own` are the local cloud's."""
    met = bool(audience.seconds) and _percentile(audience.seconds, 95) <= MOST_SECONDS
    late = _percentile(audience.seconds, 95) * 1000 if audience.seconds else 0
    header = ["milliseconds", *(f"p{percent}" for percent in PERCENTS)]
    rows = {"from commit to received": audience.seconds} | own
    cells = [
        [name, *(f"{_percentile(seconds, percent) * 1000:.0f}" for percent in PERCENTS)]
        for name, seconds in rows.items()
        if seconds
    ]
    goal = f"at most {MOST_SECONDS * 1000:,.0f}"
    return Section(
        "realtime",
        "Realtime: from a commit to every phone",
        f"{broadcasts} changes are announced to {connections} connections on a local stack, one"
        " after the other. A client's time is from when the change's transaction began to when the"
        " client has it. What the local cloud takes by itself is measured apart, with functions"
        " that do nothing: it is a part of the time above.",
        [
            Comparison("from commit to received, p95", "ms", [late], goal=goal, met=met),
            Comparison("never arrived", "events", [lost], goal="none", met=lost == 0),
        ],
        [Table("All, and what of it is the local cloud's", header, cells)],
    )


def _percentile(seconds: list[float], percent: int) -> float:
    ordered = sorted(seconds)
    return ordered[-(-len(ordered) * percent // 100) - 1]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.realtime")
    parser.add_argument("--connections", type=int, default=200)
    parser.add_argument("--broadcasts", type=int, default=60)
    arguments = parser.parse_args()
    sys.exit(asyncio.run(run(arguments.connections, arguments.broadcasts)))
