"""What a month costs: dollars for 1,000 people, feature by feature, and which knob matters.

    python -m benchmarks.costs

Each thing that somebody does is done against the functions, without the local cloud, and counted:
invocations, what Lambda would bill for them, requests, messages, bytes, lines of log. How often it
is done a month is `USAGE`, what AWS asks for it is `prices.toml`. Durations are this machine's: by
the clock for what is waited for, and stretched by the part of a processor that a function's memory
gives it for what is worked.
"""

import asyncio
import sys
import tempfile
import tomllib
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import load_service
from benchmarks.cost_usage import USAGE, Usage, usual
from benchmarks.cost_workflows import TIMES, Counted, count, memory_sizes, times_a_month
from benchmarks.realtime_costs import prices
from benchmarks.results import Comparison, Section, Table, publish
from local import template as sam

PEOPLE = 1_000
HOURS = 730  # a month
PRICES = Path(__file__).with_name("prices.toml")
GB = 1024**3

type Bill = dict[str, float]
"""Dollars, by what is paid for."""

# What there is whoever comes. (number, price, what)
FIXED: dict[str, tuple[float, str, str]] = {
    "database": (HOURS, "database_hour", "db.t4g.medium, one zone"),
    "its storage": (50, "database_gb_month", "50 GB"),
    "RDS Proxy": (2 * HOURS, "proxy_vcpu_hour", "two vCPUs"),
    "Valkey": (0.1 * HOURS, "cache_gb_hour", "serverless, its least"),
    "NAT gateway": (HOURS, "nat_hour", "one, for texts and pushes"),
    "custom metrics": (60, "metric", "those that are written most months"),
    "dashboard": (1, "dashboard", ""),
    "secrets": (8, "secret", ""),
}
# Lambda looks into a queue that is empty with five long polls of 20 s.
EMPTY_RECEIVES = 5 * 3 * 60 * HOURS

INTRO = (
    f"What each thing that somebody does asks of AWS is counted against the functions, {TIMES}"
    " times; how often it is done, and what AWS asks for it, are the tables below. Prices are"
    " those of us-east-1 without free tiers. [What it says, and what to change](../docs/costs.md)."
)
NOTES = (
    (
        "Durations are this machine's, stretched by the part of a processor that a function's"
        " memory gives it; cold starts are not in them."
    ),
    (
        "Each change is told by itself; with more people at once the relay and the fan-out serve"
        " many with one invocation."
    ),
    (
        "Not in it: support, tax, backups beyond the database's size, CloudFront, requests to"
        " Valkey, and what passes the NAT gateway (some KB a text or a push)."
    ),
)


class Model:
    """Dollars a month, of what was counted; `memory` is each function's, in MB."""

    def __init__(self, counted: Mapping[str, Counted], memory: dict[str, int]) -> None:
        self._counted, self._memory = counted, memory
        self._prices = prices()

    def once(self, thing: str) -> Bill:
        """Return what doing it once costs, item by item."""
        counted, price = self._counted[thing], self._prices
        sent = defaultdict(float, counted.sent)
        return {
            "Lambda": counted.invocations * price["lambda_request"]
            + counted.gb_seconds(self._memory) * price["lambda_gb_second"],
            "gateways": sent["HTTP requests"] * price["http_request"]
            + sent["WebSocket messages"] * price["websocket_message"],
            "queues": sent["SQS requests"] * price["queue_request"],
            "storage": sent["storage writes"] * price["storage_write"]
            + sent["storage reads"] * price["storage_read"],
            "logs": counted.log_bytes / GB * price["log_gb"],
            "transfer": sent["bytes to phones"] / GB * price["transfer_gb"],
        }

    def features(self, usage: Usage) -> dict[str, Bill]:
        """Return what each feature costs a month for `PEOPLE`, item by item."""
        found: dict[str, Bill] = {}
        for feature, things in usage.features().items():
            bill: Bill = defaultdict(float)
            for thing, times in things.items():
                for item, dollars in self.once(thing).items():
                    bill[item] += dollars * times * PEOPLE
            found[feature] = bill
        minutes = usage.connection_minutes * PEOPLE
        found["realtime"]["gateways"] += minutes * self._prices["connection_minute"]
        kept = usage.kept_gb * PEOPLE * self._prices["storage_gb_month"]
        found["photos and documents, kept"] = {"storage": kept}
        return found

    def dollars(self, usage: Usage) -> float:
        return sum(sum(bill.values()) for bill in self.features(usage).values())

    def texts(self, usage: Usage) -> float:
        use = usage.values
        return use["codes a month"] * use["texts a code"] * PEOPLE * self._prices["text"]

    def fixed(self) -> dict[str, tuple[float, str]]:
        """Return what is paid whoever comes: dollars a month, and what it is."""
        found = {
            name: (number * self._prices[price], what)
            for name, (number, price, what) in FIXED.items()
        }
        template = sam.read_template()
        kinds = Counter(resource["Type"] for resource in template["Resources"].values())
        alarms = kinds["AWS::CloudWatch::Alarm"]
        found["alarms"] = (alarms * self._prices["alarm"], f"{alarms} of them")
        functions = [function for _, function in sam.resources(template, sam.FUNCTION)]
        events = [event for each in functions for event in each.get("Events", {}).values()]
        queues = sum(event["Type"] == "SQS" for event in events)
        receives = queues * EMPTY_RECEIVES * self._prices["queue_request"]
        found["looking into empty queues"] = (receives, f"{queues} queues")
        found["schedules"] = (self._schedules(functions), "with what they wake")
        return found

    def _schedules(self, functions: list[dict[str, Any]]) -> float:
        dollars = 0.0
        for function in functions:
            module = str(function["Handler"]).removesuffix(".handler")
            for event in function.get("Events", {}).values():
                if event["Type"] == "ScheduleV2":
                    times = times_a_month(event["Properties"]["ScheduleExpression"])
                    once = sum(self.once(f"schedule: {module}").values()) + self._prices["schedule"]
                    dollars += times * once
        return dollars


def knobs(counted: Mapping[str, Counted], model: Model) -> dict[str, float]:
    """Return what is paid more, in dollars, when an assumption is doubled."""
    now = model.dollars(usual())
    found = {}
    for name in USAGE:
        doubled = Usage({**usual().values, name: 2 * usual().values[name]})
        texts = model.texts(doubled) - model.texts(usual())
        found[name] = model.dollars(doubled) - now + texts
    twice = {name: 2 * megabytes for name, megabytes in memory_sizes().items()}
    found["memory of every function, and no faster"] = Model(counted, twice).dollars(usual()) - now
    return dict(sorted(found.items(), key=lambda item: -abs(item[1])))


def section(counted: Mapping[str, Counted]) -> Section:
    """Return the figures as they are published."""
    model = Model(counted, memory_sizes())
    features, fixed = model.features(usual()), model.fixed()
    always = sum(dollars for dollars, _ in fixed.values())
    comparisons = [
        Comparison(f"what {PEOPLE:,} active people do", "$ a month", [model.dollars(usual())]),
        Comparison("what there is whoever comes", "$ a month", [always]),
        Comparison("texts with codes", "$ a month", [model.texts(usual())]),
    ]
    tables = [
        _features_table(features),
        Table(
            "What there is whoever comes, $ a month",
            ["", "$", ""],
            [[name, f"{dollars:,.2f}", what] for name, (dollars, what) in fixed.items()],
        ),
        Table(
            f"Which knob matters: what {PEOPLE:,} people cost more when it is doubled",
            ["", "$ a month"],
            [[name, f"{dollars:+,.2f}"] for name, dollars in knobs(counted, model).items()],
        ),
        Table(
            "What one active person does",
            ["", "", "why"],
            [[name, f"{value:g}", why] for name, (value, why) in USAGE.items()],
        ),
        _counted_table(counted, model),
        _prices_table(),
    ]
    return Section("costs", "Costs", INTRO, comparisons, tables, NOTES)


def _features_table(features: Mapping[str, Bill]) -> Table:
    items = list(dict.fromkeys(item for bill in features.values() for item in bill))
    rows = [
        [name, *(f"{bill.get(item, 0):,.2f}" for item in items), f"{sum(bill.values()):,.2f}"]
        for name, bill in features.items()
    ]
    sums = [sum(bill.get(item, 0) for bill in features.values()) for item in items]
    rows.append(["all", *(f"{dollars:,.2f}" for dollars in sums), f"{sum(sums):,.2f}"])
    return Table(f"{PEOPLE:,} active people, $ a month", ["", *items, "all"], rows)


def _counted_table(counted: Mapping[str, Counted], model: Model) -> Table:
    sent = ["HTTP requests", "WebSocket messages", "SQS requests"]
    sent += ["storage writes", "storage reads"]
    rows = [
        [
            thing,
            f"{each.invocations:,.1f}",
            f"{sum(each.milliseconds.values()):,.0f}",
            *(f"{each.sent.get(kind, 0):,.1f}" for kind in sent),
            f"{each.log_bytes / 1024:,.1f}",
            f"{sum(model.once(thing).values()) * 1e6:,.2f}",
        ]
        for thing, each in counted.items()
    ]
    header = ["", "invocations", "ms billed", *sent, "KB of log", "$ a million"]
    return Table("What doing it once asks of AWS", header, rows)


def _prices_table() -> Table:
    rows = [
        [
            f"{price['dollars']:.10f}".rstrip("0").rstrip("."),
            *(price[key] for key in ("per", "official", "seen")),
        ]
        for price in tomllib.loads(PRICES.read_text()).values()
    ]
    return Table("Prices", ["$", "a", "official page", "read in, of"], rows)


async def counted_now() -> dict[str, Counted]:
    with tempfile.TemporaryDirectory(prefix="fieldgate-costs-") as folder:
        # One worker of each kind, so that it is warm.
        async with load_service.running(Path(folder), 1) as service:
            return await count(service)


if __name__ == "__main__":
    sys.exit(publish(section(asyncio.run(counted_now()))))
