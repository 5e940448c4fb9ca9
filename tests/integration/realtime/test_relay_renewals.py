"""What is kept of a table is used no more once its change is relayed, or was missed."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from fieldgate import cache, configuration
from fieldgate.db.engine import Database
from fieldgate.errors import Unavailable
from fieldgate.two_level_cache.two_levels import TwoLevels
from realtime import relay_changes
from tests.support.gateway import LambdaContext
from tests.support.people import Person, register
from tests.support.ports import free_port
from tests.support.sqs import LocalSqs
from tests.support.stream import Stream

EVENTS = Path(__file__).parents[3] / "events"
WOKEN = json.loads((EVENTS / "relay_changes.json").read_text())
SCHEDULED = {"id": "0b9a1f7e-6f0e-4d55-9d10-6a3a1b1c7e01", "detail-type": "Scheduled Event"}
KEY = "AI_IMAGE_QUALITY"


@pytest.fixture(autouse=True)
def deployed(environment: pytest.MonkeyPatch, live_database: Database, sqs: LocalSqs) -> None:
    environment.setenv("FAN_OUT_QUEUE_URL", sqs.url)


def relay(event: dict[str, Any]) -> None:
    relay_changes.handler(event, LambdaContext(60_000))


def set_by_hand(database: Database, value: int) -> None:
    statement = text(
        "INSERT INTO configuration (key, value) VALUES (:key, to_jsonb(CAST(:value AS int)))"
        " ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = configuration.version"
        " + 1"
    )
    values = {"key": KEY, "value": value}
    database.transact(lambda connection: connection.execute(statement, values))


def kept() -> Any:
    """Return what an environment that has just begun finds in Valkey."""

    def load() -> dict[str, int]:
        raise LookupError

    try:
        return TwoLevels().get("configuration", "active", load)
    except LookupError:
        return None


@pytest.mark.parametrize("event", [WOKEN, SCHEDULED], ids=["woken", "scheduled"])
def test_a_relayed_change_is_in_force(live_database: Database, event: dict[str, Any]) -> None:
    assert configuration.value(KEY) == 70
    set_by_hand(live_database, 60)
    assert configuration.value(KEY) == 70

    relay(event)

    assert kept() is None
    assert configuration.value(KEY) == 60


def test_other_changes_leave_it_known(live_database: Database) -> None:
    relay(SCHEDULED)
    configuration.values()
    before = cache.get_many(["version:configuration"])
    register(live_database, Person("", None))
    for event in (WOKEN, SCHEDULED):
        relay(event)
    assert cache.get_many(["version:configuration"]) == before != {}


def test_what_was_relayed_while_valkey_could_not_be_told_is_renewed_in_the_next_round(
    live_database: Database, environment: pytest.MonkeyPatch
) -> None:
    relay(SCHEDULED)
    assert configuration.value(KEY) == 70
    with environment.context() as cut_off:
        cut_off.setattr(cache, "in_one_trip", lambda commands: None)
        set_by_hand(live_database, 60)
        relay(WOKEN)
        relay(SCHEDULED)
    assert kept() == {}, "what was before"

    relay(SCHEDULED)

    assert kept() is None
    assert configuration.value(KEY) == 60


def test_a_round_that_finds_nothing_changed_renews_nothing(live_database: Database) -> None:
    set_by_hand(live_database, 60)
    relay(SCHEDULED)
    relay(SCHEDULED)
    configuration.values()
    before = cache.get_many(["version:configuration"])
    relay(SCHEDULED)
    assert cache.get_many(["version:configuration"]) == before != {}


def test_changes_are_renewed_though_the_workers_queue_is_down(
    live_database: Database, environment: pytest.MonkeyPatch
) -> None:
    admin = register(live_database, Person("", None, roles=("admin",)))
    Stream(live_database).connect("a", admin.id)
    assert configuration.value(KEY) == 70
    set_by_hand(live_database, 60)
    environment.setenv("AWS_ENDPOINT_URL_SQS", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(Unavailable):
        relay(SCHEDULED)
    assert configuration.value(KEY) == 60
