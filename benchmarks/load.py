"""Load: 100 field agents, then 300, against the functions and against the local stack.

    python -m benchmarks.load [--seconds 30] [--only functions]
    python -m benchmarks.load --url https://api-staging.example.org [--users N] [--p95 1000]

What an agent does an hour stands in `benchmarks.load_orders`; here the hour goes faster, pings go
by the clock. Agents sign in by password or by code, one as many as the other, each from an address
of their own where the gateway is ours. Exit code 1 when anything failed.

With `--url` agents work on an environment that is there, such as staging, in real time unless told
(`--pace`); it needs accounts of agents, without a second factor, in LOAD_ACCOUNTS as
"identifier:password", with spaces between them, or one in SMOKE_IDENTIFIER and SMOKE_PASSWORD. An
account is good for five agents, because of its limits. What they send stays there, so production is
refused, and so is what doesn't say which environment it is. Exit code 1 when anything failed, or
the 95th percentile of all requests is above `--p95`, in milliseconds.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from sqlalchemy import text

from benchmarks import load_service, stack
from benchmarks.load_orders import Orders
from benchmarks.load_phases import Phase, section
from benchmarks.load_target import checked
from benchmarks.results import Section, publish, show
from fieldgate.db.engine import Database
from identity.passwords import hash_password
from local.accounts import PASSWORD
from local.front_door import HUB_PATH
from local.sample_photo import camera_jpeg
from tests.support.people import Person, register

USERS = (100, 300)
# So that everything has been done once.
WARM_UP_USERS, WARM_UP_SECONDS = 12, 20.0
WORKERS = 4
AN_ACCOUNT = 5  # agents may share
LOTS = 200


@dataclass(frozen=True)
class Target:
    """What a target is asked: hours of work an hour, and how many agents sign in at once."""

    name: str
    pace: float
    at_once: int


FUNCTIONS = Target("functions", pace=10, at_once=8)
# It starts a process for each function that is asked at once; many starting keep it from answering,
# which has it start more.
LOCAL_STACK = Target("local stack", pace=2, at_once=3)

type People = Iterator[dict[str, Any]]

_say = Console(stderr=True, highlight=False).print

_ADD_LOTS = """
    WITH made AS (
        INSERT INTO warehouses (name, time_zone)
        SELECT 'Warehouse ' || number, 'Africa/Nairobi' FROM generate_series(0, 9) AS number
        RETURNING name
    )
    INSERT INTO stock_lots (product, warehouse, unit, received, quantity, expires_on, created_by)
    SELECT 'Hybrid maize seed', name, 'kg', 50, 40, current_date + number,
        (SELECT id FROM users LIMIT 1)
    FROM made CROSS JOIN generate_series(1, :number) AS number"""


def main() -> int:
    options = _options()
    if options.url:
        return on_environment(options)
    phases = []
    if options.only != LOCAL_STACK.name:
        phases += asyncio.run(on_functions(options.seconds))
    if options.only != FUNCTIONS.name:
        phases += asyncio.run(on_local_stack(options.seconds))
    return publish(section(phases, WORKERS))


async def on_functions(seconds: float) -> list[Phase]:
    """Have the agents work on the functions, without the local cloud."""
    with tempfile.TemporaryDirectory(prefix="fieldgate-load-") as folder:
        async with load_service.running(Path(folder), WORKERS) as service:
            people = await asyncio.to_thread(prepare, service.database)

            async def phase(users: int, seconds: float) -> Phase:
                service.workers.forget()
                before = service.workers.megabytes()
                done = await work(service.url, people, users, seconds, FUNCTIONS)
                await service.settle()
                failed = [f"{count} x {what}" for what, count in service.workers.errors.items()]
                memory = before, service.workers.megabytes()
                return replace(done, errors=failed, memory=memory)

            await phase(WARM_UP_USERS, WARM_UP_SECONDS)
            return [await phase(users, seconds) for users in USERS]


async def on_local_stack(seconds: float) -> list[Phase]:
    """Have the agents work on a local stack, as `make up` runs it."""
    with tempfile.TemporaryDirectory(prefix="fieldgate-load-") as folder:
        async with stack.running(Path(folder)) as local:
            people = await asyncio.to_thread(prepare, local.database)
            await work(local.url, people, WARM_UP_USERS, WARM_UP_SECONDS, LOCAL_STACK)
            return [await work(local.url, people, users, seconds, LOCAL_STACK) for users in USERS]


def prepare(database: Database) -> People:
    """Make the people and something to look at; returns whom `Orders` wants, one by one."""
    password_hash = hash_password(PASSWORD)
    people = []
    for number in range(sum(USERS) + WARM_UP_USERS):
        # Each in a range of its own, as some budgets go by the thousand numbers.
        phone = f"+2547{33_001_000 + number * 1_000}"
        register(database, Person(PASSWORD, password_hash, phone, email=None))
        people.append(
            {
                "identifier": phone,
                "password": PASSWORD,
                "address": f"10.1.{number // 250}.{number % 250 + 1}",
                "byCode": number % 2 == 1,
            }
        )
    add_lots = text(_ADD_LOTS)
    database.transact(lambda connection: connection.execute(add_lots, {"number": LOTS // 10}))
    return iter(people)


async def work(
    url: str, people: People, users: int, seconds: float, target: Target, realtime_url: str = ""
) -> Phase:
    """Have the agents work for so long once all have signed in, in a process of their own."""
    orders = Orders(
        url=url,
        realtime_url=realtime_url or f"ws{url.removeprefix('http')}{HUB_PATH}",
        people=[*islice(people, users)],
        users=users,
        at_once=target.at_once,
        seconds=seconds,
        pace=target.pace,
        # As apps make of a photo before they send it.
        photo=camera_jpeg(1600, 1200, quality=80).hex(),
    )
    _say(f"{target.name}: {orders.users} agents for {orders.seconds:.0f} s")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.load_users"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        psutil.cpu_percent()
        said, _ = await process.communicate(json.dumps(orders.as_json()).encode())
        busy = psutil.cpu_percent() / 100
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise RuntimeError(f"the agents' process ended with {process.returncode}")
    found = json.loads(said)
    for error in found["errors"]:
        _say(error, style="red", markup=False)
    seconds, entries = found["seconds"], found["entries"]
    return Phase(target.name, users, target.pace, seconds, entries, [], busy)


def on_environment(options: argparse.Namespace) -> int:
    """Have agents work on an environment that is there; return the exit code."""
    people = accounts()
    users = options.users or AN_ACCOUNT * len(people)
    url, realtime_url = checked(options.url, options.realtime_url)
    target = Target(url, options.pace, at_once=5)
    done = work(url, cycle(people), users, options.seconds, target, realtime_url)
    phase = asyncio.run(done)
    is_late = phase.all["p95"] > options.p95
    show(Section("load", "Load", "", list(phase.comparisons()), [phase.table()]))
    if is_late:
        _say(f"the 95th percentile is over {options.p95:g} ms", style="red")
    return int(is_late or phase.failed > 0)


def accounts() -> list[dict[str, Any]]:
    """Return the people of the environment, as `Orders` wants them."""
    one = ":".join(os.environ.get(f"SMOKE_{name}", "") for name in ("IDENTIFIER", "PASSWORD"))
    given = os.environ.get("LOAD_ACCOUNTS", "").split() or [one]
    pairs = [account.partition(":")[::2] for account in given]
    if not all(identifier and password for identifier, password in pairs):
        raise SystemExit('LOAD_ACCOUNTS="identifier:password ..." says who the agents are.')
    return [
        {"identifier": identifier, "password": password, "address": "", "byCode": False}
        for identifier, password in pairs
    ]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--only", choices=(FUNCTIONS.name, LOCAL_STACK.name))
    parser.add_argument("--url", help="of an environment that is there")
    parser.add_argument("--realtime-url", default="", help="its WebSocket, if it has its own")
    parser.add_argument("--users", type=int, help=f"with --url; {AN_ACCOUNT} an account")
    parser.add_argument("--pace", type=float, default=1, help="with --url")
    parser.add_argument("--p95", type=float, default=1000, help="with --url, milliseconds")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
