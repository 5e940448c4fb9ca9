"""What came of the load, and how it is told."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.load_orders import HOURLY, PING_SECONDS
from benchmarks.results import Comparison, Section, Table

# What a worker may grow by while the most agents work.
MOST_GROWTH_MIB = 15.0


@dataclass(frozen=True)
class Phase:
    """What came of so many agents on a target.

    Attributes:
        target: "functions", "local stack", an address.
        users: How many agents.
        pace: How many hours of work they did an hour.
        seconds: How long it took.
        entries: Of each kind of request, of what agents wait for, and last of all requests: `{name,
            requests, failures, p50, p95, p99}`, in milliseconds.
        errors: What failed besides.
        busy: How much of the processors, from 0 to 1.
        memory: What each worker had before and after, in MiB.

    """

    target: str
    users: int
    pace: float
    seconds: float
    entries: Sequence[dict[str, Any]]
    errors: Sequence[str]
    busy: float
    memory: tuple[Sequence[float], Sequence[float]] = ((), ())

    @property
    def all(self) -> dict[str, Any]:
        return self.entries[-1]

    @property
    def failed(self) -> int:
        return sum(int(entry["failures"]) for entry in self.entries[:-1]) + len(self.errors)

    @property
    def name(self) -> str:
        return f"{self.target}, {self.users} agents"

    def comparisons(self) -> Iterator[Comparison]:
        yield Comparison(
            f"{self.name}: failed", "requests", [self.failed], goal="none", met=not self.failed
        )
        rate = self.all["requests"] / self.seconds
        yield Comparison(self.name, "requests/s", [rate], more_is_better=True)
        yield Comparison(f"{self.name}: p95 of all", "ms", [self.all["p95"]])

    def growth(self) -> Comparison:
        """Return how much more memory each worker has than before, one value a worker."""
        before, after = self.memory
        grown = [late - early for early, late in zip(before, after, strict=True)]
        return Comparison(
            f"{self.name}: what a worker grew by, of {max(before):.0f}",
            "MiB",
            grown,
            goal=f"at most {MOST_GROWTH_MIB:g} each",
            met=max(grown) <= MOST_GROWTH_MIB,
        )

    def table(self) -> Table:
        hours = "hour" if self.pace == 1 else "hours"
        caption = (
            f"{self.name}, {self.pace:g} {hours} of work an hour, processors {self.busy:.0%} busy;"
            " milliseconds"
        )
        wanted = ("requests", "failures", "p50", "p95", "p99")
        rows = [[each["name"], *(f"{each[what]:,.0f}" for what in wanted)] for each in self.entries]
        return Table(caption, ["", "requests", "failed", "p50", "p95", "p99"], rows)


def section(phases: Sequence[Phase], workers: int) -> Section:
    """Return the figures as they are published; the last phase on workers shows their growth."""
    comparisons = [comparison for phase in phases for comparison in phase.comparisons()]
    comparisons += [phase.growth() for phase in [p for p in phases if p.memory[0]][-1:]]
    hourly = ", ".join(f"{what} {often}" for what, often in HOURLY.items())
    return Section(
        "load",
        "Load: field agents at work",
        "Agents sign in by password or by code, register the phone, hold a WebSocket open with a"
        f" ping each {PING_SECONDS} s, and do, an hour: {hourly}, which is some fifty requests. The"
        " hour goes faster, as each table says, and pings by the clock. *functions* are the real"
        f" handlers in {workers} processes, and {workers} for queues, one event at a time in each,"
        " behind a gateway and queues of the benchmarks' own; *local stack* is what `make up` runs."
        " Agents, gateway, functions, database, cache and storage share this machine, and each"
        " request is an authorizer's invocation and a function's.",
        comparisons,
        [phase.table() for phase in phases],
        [
            (
                "“until ready” and “text with a code” are waited for as a person does, with a"
                " second (a quarter for texts) from one look to the next."
            ),
            "Photos are 1,600 x 1,200, as apps make them to send; documents 2 MiB in four chunks.",
            (
                "Where the processors are busy, they are what limits: agents, gateway and database"
                " have the same two. The local stack takes some 10 ms to invoke a function, and two"
                " for each request: it is for development, and how much it can take says nothing"
                " of AWS."
            ),
        ],
    )
