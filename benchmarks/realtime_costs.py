"""What 10,000 and 100,000 connections ask of AWS: `python -m benchmarks.realtime_costs`.

Arithmetic on prices.toml, on AWS's quotas (November 2026; Cape Town has a quarter of the requests),
and on what the other benchmarks measured here. docs/realtime-scale.md says what it means.
"""

import math
import sys
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.results import Section, Table, publish

BEYOND = 1e9  # messages a month, which cost less

# Requests a second of an account: frames in, handshakes and posts of all its APIs together.
REQUESTS_A_SECOND = 10_000
REQUESTS_A_SECOND_CAPE_TOWN = 2_500
CONNECTS_A_SECOND = 500

# The shape of the day: ten hours of work, six days a week.
HOURS, DAYS = 10, 26
EVENTS_TO_ONE = 50  # a day for each connection: one's own photos, permissions
BROADCASTS = 20  # a day, to everybody
CONNECTS = 20  # a day for each connection: the network is lost all day
PING_SECONDS = 15

# Billed for each: on_message at 512 MB answers a ping in a millisecond or two; connecting is two
# functions and two round trips to the database.
PING_GB_SECONDS = 0.5 * 0.002
CONNECT_GB_SECONDS = 2 * 0.5 * 0.030
# fan_out at 1,769 MB: by `benchmarks.fan_out`, with all that a run does besides posting.
POSTS_A_SECOND = 3_000
WORKERS = 2
POST_GB_SECONDS = 1.73 / POSTS_A_SECOND


@dataclass(frozen=True)
class Month:
    """What a month of so many connections is, with a ping each so many seconds."""

    connections: int
    ping_seconds: int = PING_SECONDS

    @property
    def minutes(self) -> float:
        return self.connections * HOURS * 60 * DAYS

    @property
    def pings(self) -> float:
        return self.minutes * 60 / self.ping_seconds

    @property
    def connects(self) -> float:
        return self.connections * CONNECTS * DAYS

    @property
    def posts(self) -> float:
        return self.connections * (EVENTS_TO_ONE + BROADCASTS) * DAYS + self.connects

    @property
    def messages(self) -> float:
        """Frames either way: pings and their answers, handshakes and theirs, posts."""
        return 2 * self.pings + 2 * self.connects + self.posts

    @property
    def invocations(self) -> float:
        """on_message; authorizer, on_connect, on_disconnect; relay and fan-out."""
        events = self.connections * EVENTS_TO_ONE * DAYS
        fan_out = events + BROADCASTS * DAYS * math.ceil(self.connections / 500)
        return self.pings + self.connects * 4 + events + fan_out

    def dollars(self) -> dict[str, float]:
        """Return the bill, item by item."""
        price = prices()
        beyond = max(0.0, self.messages - BEYOND)
        compute = (
            self.pings * PING_GB_SECONDS
            + self.connects * CONNECT_GB_SECONDS
            + self.posts * POST_GB_SECONDS
        )
        events = self.connections * EVENTS_TO_ONE * DAYS
        return {
            "messages": (self.messages - beyond) * price["websocket_message"]
            + beyond * price["websocket_message_beyond"],
            "connection minutes": self.minutes * price["connection_minute"],
            "invocations": self.invocations * price["lambda_request"],
            "processor": compute * price["lambda_gb_second"],
            # Sent, received, deleted, for the relay's message and the fan-out's.
            "queues": events * 6 * price["queue_request"],
        }

    @property
    def pings_a_second(self) -> float:
        return self.connections / self.ping_seconds

    def broadcast_seconds(self, quota: int = REQUESTS_A_SECOND) -> float:
        """Return how long posting to all takes, with what the pings leave of the quota."""
        left = quota - self.pings_a_second
        return self.connections / min(left, WORKERS * POSTS_A_SECOND) if left > 0 else math.inf


@cache
def prices() -> dict[str, float]:
    """Return dollars by name, of prices.toml."""
    found = tomllib.loads(Path(__file__).with_name("prices.toml").read_text())
    return {name: float(price["dollars"]) for name, price in found.items()}


def main() -> int:
    months = [
        Month(10_000),
        Month(10_000, ping_seconds=240),
        Month(100_000),
        Month(100_000, ping_seconds=240),
    ]
    rows: list[tuple[str, list[str]]] = [
        ("connections", [f"{month.connections:,}" for month in months]),
        ("a ping each", [f"{month.ping_seconds} s" for month in months]),
        ("messages a month, millions", [f"{month.messages / 1e6:,.0f}" for month in months]),
        ("invocations a month, millions", [f"{month.invocations / 1e6:,.0f}" for month in months]),
        *(
            (f"{item}, $", [f"{month.dollars()[item]:,.0f}" for month in months])
            for item in months[0].dollars()
        ),
        ("in all, $ a month", [f"{sum(month.dollars().values()):,.0f}" for month in months]),
        ("pings a second", [f"{month.pings_a_second:,.0f}" for month in months]),
        ("posting to all, s", [f"{month.broadcast_seconds():,.1f}" for month in months]),
        (
            "posting to all in Cape Town, s",
            [_seconds(month.broadcast_seconds(REQUESTS_A_SECOND_CAPE_TOWN)) for month in months],
        ),
        (
            "all coming back at once, s",
            [f"{month.connections / CONNECTS_A_SECOND:,.0f}" for month in months],
        ),
    ]
    header, *body = ([name, *values] for name, values in rows)
    return publish(
        Section(
            "realtime_costs",
            "Realtime: what many connections cost",
            f"Arithmetic: {HOURS} hours of work a day, {DAYS} days a month; a phone connects"
            f" {CONNECTS} times a day, hears {EVENTS_TO_ONE} things of its own, and {BROADCASTS}"
            " that are told to everybody. [What it says, and what to change"
            " when](../docs/realtime-scale.md).",
            tables=[Table("", header, body)],
        )
    )


def _seconds(seconds: float) -> str:
    return "never" if math.isinf(seconds) else f"{seconds:,.1f}"


if __name__ == "__main__":
    sys.exit(main())
