"""What each thing that somebody does asks of AWS: done against the functions, and counted."""

import json
import math
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from benchmarks.cost_field import Field
from benchmarks.load_service import LoadService
from benchmarks.load_workers import Call
from local import template as sam

# The first two open connections and load what is loaded late.
WARM_UPS, TIMES = 2, 5
# A function has a processor to itself from here on, and a part of it below.
# (docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html)
MEGABYTES_A_PROCESSOR = 1_769
WRITES = {
    *("PutObject", "CopyObject", "ListObjects", "ListParts", "ListMultipartUploads"),
    *("CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"),
}
READS = {"GetObject", "HeadObject"}


@dataclass(frozen=True)
class Counted:
    """What doing it once asks of AWS.

    Attributes:
        calls: Invocations of each function.
        milliseconds: What is billed for those of each function, with the memory it has.
        sent: Requests and messages by kind, bytes to phones and to storage's.
        log_bytes: What the functions wrote.

    """

    calls: dict[str, float] = field(default_factory=dict)
    milliseconds: dict[str, float] = field(default_factory=dict)
    sent: dict[str, float] = field(default_factory=dict)
    log_bytes: float = 0

    @property
    def invocations(self) -> float:
        return sum(self.calls.values())

    def gb_seconds(self, memory: dict[str, int]) -> float:
        return sum(ms * memory[name] / 1024 / 1000 for name, ms in self.milliseconds.items())


def memory_sizes() -> dict[str, int]:
    """Return the megabytes that template.yaml gives each function."""
    template = sam.read_template()
    usual = template["Globals"]["Function"]["MemorySize"]
    return {
        str(function["Handler"]).removesuffix(".handler"): function.get("MemorySize", usual)
        for _, function in sam.resources(template, sam.FUNCTION)
    }


def billed(call: Call, megabytes: int) -> int:
    """Return the milliseconds that Lambda would bill: a part of a processor takes longer."""
    share = min(1.0, megabytes / MEGABYTES_A_PROCESSOR)
    return math.ceil(max(call.waited - call.worked, 0) + call.worked / share)


async def count(service: LoadService) -> dict[str, Counted]:
    """Do each thing some times, one after the other; return what one of each asks of AWS."""
    found = {}
    memory = memory_sizes()
    async with aiohttp.ClientSession() as session:
        people = Field(service, session)
        await people.begin()
        for name, do in people.things().items():
            for _ in range(WARM_UPS):
                await do()
            await service.settle()
            found[name] = await _counted(service, do, memory)
        await people.end()
        await service.settle()
    for module, event in schedules():
        for _ in range(WARM_UPS):
            await service.workers.invoke(module, event, by_queue=True)

        async def fire(module: str = module, event: dict[str, Any] = event) -> None:
            await service.workers.invoke(module, event, by_queue=True)

        found[f"schedule: {module}"] = await _counted(service, fire, memory)
    return found


async def _counted(
    service: LoadService, do: Callable[[], Awaitable[None]], memory: dict[str, int]
) -> Counted:
    service.workers.forget()
    service.storage.restart()
    written = service.workers.log_bytes()
    for _ in range(TIMES):
        await do()
        await service.settle()
    if service.workers.errors:
        raise RuntimeError(f"functions failed: {service.workers.errors}; see {service.workers.log}")
    sent = Counter(service.workers.sent)
    for operation, number in service.storage.traffic.requests.items():
        kind = "writes" if operation in WRITES else "reads" if operation in READS else "deletions"
        sent[f"storage {kind}"] += number
    calls = service.workers.calls
    return Counted(
        {name: len(each) / TIMES for name, each in calls.items()},
        {
            name: sum(billed(call, memory[name]) for call in each) / TIMES
            for name, each in calls.items()
        },
        {name: number / TIMES for name, number in sent.items()},
        (service.workers.log_bytes() - written) / TIMES,
    )


def schedules() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each function that a schedule wakes, and what it is given."""
    for _, function in sam.resources(sam.read_template(), sam.FUNCTION):
        for event in function.get("Events", {}).values():
            if event["Type"] == "ScheduleV2":
                given = event["Properties"].get("Input", "{}")
                yield str(function["Handler"]).removesuffix(".handler"), json.loads(given)


def times_a_month(expression: str) -> float:
    """Return how often `rate(10 minutes)` or a daily `cron(...)` comes in thirty days."""
    rate = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression)
    if rate:
        minutes = int(rate[1]) * {"minute": 1, "hour": 60, "day": 1440}[rate[2]]
        return 30 * 1440 / minutes
    if re.fullmatch(r"cron\(\d+ \d+ \* \* \? \*\)", expression):
        return 30
    raise ValueError(f"how often is {expression}?")
