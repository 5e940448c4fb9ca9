"""What it costs to know somebody's permissions: in this process, from Valkey, from PostgreSQL.

    python -m benchmarks.cached_permissions [--runs 2000]

Real servers on this machine, one caller, an admin's rights. "From Valkey" is what an environment
asks that doesn't know them yet; in the second of these rows it doesn't know the region's version
either. The authorizer's check asks Valkey whether the session and the user are still what the
token says, and finds rights that have changed since in this process. Times are by the clock. Exit
code 1 when a median is above its limit: 50 us in this process, 1 ms from Valkey.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import batched
from pathlib import Path
from typing import Any

from benchmarks.command_line import parser
from benchmarks.function_settings import PEPPER
from benchmarks.results import Comparison, Section, Table, publish
from fieldgate import settings, two_level_cache
from fieldgate.db.engine import Database, database
from fieldgate.db.migrate import migrate
from fieldgate.db.url import parse_url
from fieldgate.two_level_cache.two_levels import TwoLevels
from identity import session_check, session_store
from identity.sessions import NewSession
from local.postgres import start_postgres
from local.valkey import start_valkey
from tests.support.people import Person, register
from tests.support.ports import free_port

LIMIT_HERE_MICROSECONDS = 50
LIMIT_VALKEY_MICROSECONDS = 1_000
PERMISSION = "users:write"
REGION = "permissions"
PART = 400  # checks whose median is one value

BOSS = Person("", None, roles=("admin",))


def main() -> int:
    runs = parser(__doc__, runs=2_000).parse_args().runs
    with running() as live:
        measured = measure(live, runs)
    return publish(section(measured))


def section(measured: dict[str, list[float]]) -> Section:
    """Return the figures as they are published."""
    comparisons = []
    for name, microseconds in measured.items():
        limit = LIMIT_HERE_MICROSECONDS if name == "this process" else LIMIT_VALKEY_MICROSECONDS
        met = None if name == "PostgreSQL" else statistics.median(microseconds) <= limit
        goal = "" if met is None else f"at most {limit:,}"
        medians = [statistics.median(part) for part in batched(microseconds, PART, strict=False)]
        comparisons.append(Comparison(name, "us", medians, goal=goal, met=met))
    p99 = [
        (name, f"{statistics.quantiles(microseconds, n=100)[-1]:,.1f}")
        for name, microseconds in measured.items()
    ]
    return Section(
        "cached_permissions",
        "Permissions: where they are found",
        "An admin's rights, one caller, servers on this machine. From Valkey is what an environment"
        " asks that doesn't know them yet; the authorizer's check asks Valkey whether session and"
        " user are still what the token says, and finds rights that have changed in this process."
        f" Each value is the median of {PART} checks.",
        comparisons,
        [Table("The slowest one of a hundred", ["where", "p99, us"], p99)],
    )


def measure(live: Database, runs: int) -> dict[str, list[float]]:
    """Return the microseconds of each check, by where it finds the rights."""
    session = NewSession.of("web")
    live.transact(lambda connection: session_store.start_session(connection, BOSS.id, session))
    session_id = session.token.session_id
    find = partial(session_store.find_with_session, user_id=BOSS.id, session_id=session_id)

    def from_postgresql() -> Any:
        user, _ = live.read(find)
        assert user is not None
        return {"roles": user.roles, "permissions": sorted(user.permissions)}

    def may(levels: Any) -> bool:
        return PERMISSION in levels.get(REGION, "boss:2", from_postgresql)["permissions"]

    # Of a token from before the rights changed.
    claims = {"sub": str(BOSS.id), "sid": str(session_id), "pv": 0}
    assert may(two_level_cache)
    assert session_check.check(claims)
    environments = iter([knowing_the_version() for _ in range(runs)])
    new_environments = iter([TwoLevels() for _ in range(runs)])
    works: dict[str, Callable[[], Any]] = {
        "this process": lambda: may(two_level_cache),
        "Valkey": lambda: may(next(environments)),
        "Valkey, the version too": lambda: may(next(new_environments)),
        "Valkey and this process: the authorizer's check": lambda: session_check.check(claims),
        "PostgreSQL": from_postgresql,
    }
    return {name: [timed(work) for _ in range(runs)] for name, work in works.items()}


def knowing_the_version() -> TwoLevels:
    levels = TwoLevels()
    levels.get(REGION, "somebody else", lambda: None)
    return levels


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    assert work()
    return (time.perf_counter() - began) * 1e6


@contextmanager
def running() -> Iterator[Database]:
    """The database that functions use, with a cache, on servers of their own."""
    with (
        tempfile.TemporaryDirectory(prefix="fieldgate-permissions-") as folder,
        start_postgres(Path(folder) / "data", free_port(), durable=False) as postgres,
        start_valkey(Path(folder) / "valkey", free_port()) as valkey,
    ):
        migrate(lambda: parse_url(postgres.url, "the benchmark"))
        settings.forget()
        os.environ |= {"DATABASE_URL": postgres.url, "CACHE_URL": valkey.url}
        os.environ["PEPPER"] = PEPPER
        register(database(), BOSS)
        try:
            yield database()
        finally:
            database().close()
            settings.forget()


if __name__ == "__main__":
    sys.exit(main())
