import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from valkey import Valkey

from fieldgate.db.engine import Database
from local.valkey import ValkeyServer
from tests.conftest import run_sql
from tests.support.gateway import signed_in
from tests.support.limited import Store


@pytest.fixture
def valkey_store(environment: pytest.MonkeyPatch, valkey: ValkeyServer) -> Iterator[Store]:
    with Valkey.from_url(valkey.url, decode_responses=True) as there:

        def age(seconds: float) -> None:
            for key in there.scan_iter():
                there.set(key, round(int(there.get(key)) - seconds * 1_000_000), keepttl=True)

        yield Store(age, there.keys, there.flushall)


@pytest.fixture
def postgresql_store(
    environment: pytest.MonkeyPatch, live_database: Database, database_url: str
) -> Store:
    environment.delenv("CACHE_URL")

    def age(seconds: float) -> None:
        moved = f"full_at - interval '{seconds} seconds'"
        run_sql(database_url, f"UPDATE rate_limits SET full_at = {moved}")

    return Store(
        age,
        lambda: [str(key) for (key,) in run_sql(database_url, "SELECT key FROM rate_limits")],
        lambda: run_sql(database_url, "DELETE FROM rate_limits"),
    )


@pytest.fixture(params=["valkey_store", "postgresql_store"])
def store(request: pytest.FixtureRequest) -> Store:
    found: Store = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def caller(environment: pytest.MonkeyPatch) -> dict[str, Any]:
    return signed_in(uuid.uuid4())
