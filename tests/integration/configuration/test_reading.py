"""What readers of the configuration get, whatever is wrong with database and cache."""

import time
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text

from fieldgate import cache, configuration, deadline, two_level_cache
from fieldgate.configuration import REGISTRY
from fieldgate.db.engine import Database
from fieldgate.two_level_cache import local_texts, versions
from tests.support.clock import Clock
from tests.support.database import count_statements
from tests.support.log import Log
from tests.support.ports import free_port

WARNING = "configuration can't be read; going by what was read last, or by defaults"
UNFIT = "configured value is of no use; going by the default"
KEY = "AI_IMAGE_QUALITY"


def store(database: Database, key: str, value: str, *, active: bool = True) -> None:
    """Set a key by hand; `value` is JSON."""
    statement = text(
        "INSERT INTO configuration (key, value, active) VALUES (:key, CAST(:value AS jsonb), :on)"
    )
    values = {"key": key, "value": value, "on": active}
    database.transact(lambda connection: connection.execute(statement, values))


@pytest.fixture
def clock(environment: pytest.MonkeyPatch) -> Clock:
    """The time of what is kept; the database's goes on."""
    clock = Clock()
    both = SimpleNamespace(monotonic=clock.monotonic, time=clock.monotonic)
    for module in (cache, configuration, local_texts, versions):
        environment.setattr(module, "time", both)
    return clock


@pytest.fixture
def no_cache(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("CACHE_URL")


@pytest.fixture
def no_database(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("DATABASE_URL", f"postgresql://app:hunter2@127.0.0.1:{free_port()}/x")


def defaults() -> dict[str, Any]:
    return {key: setting.default for key, setting in REGISTRY.items()}


def test_all_keys_are_read_at_once_and_then_known(live_database: Database) -> None:
    store(live_database, KEY, "60")
    with count_statements(live_database) as traffic:
        for key in REGISTRY:
            configuration.value(key)
        assert configuration.values() == defaults() | {KEY: 60}
    assert traffic.round_trips == 1


def test_what_is_not_active_or_no_key_of_ours_counts_for_nothing(live_database: Database) -> None:
    store(live_database, KEY, "60", active=False)
    store(live_database, "A_KEY_OF_LATER", '"new"')
    assert configuration.values() == defaults()


def test_an_unknown_key_is_a_bug() -> None:
    with pytest.raises(KeyError):
        configuration.value("AI_IMAGE_QUALITTY")


@pytest.mark.parametrize("value", ['"60"', "true", "null", "1000", "[60]", "60.5"])
def test_what_was_set_past_us_and_is_unfit_is_the_default_and_said_once(
    live_database: Database, log: Log, value: str
) -> None:
    store(live_database, KEY, value)
    for _ in range(3):
        assert configuration.value(KEY) == 70
    (said,) = log.said(UNFIT)
    assert (said["level"], said["setting"]) == ("WARNING", KEY)


def test_without_a_database_the_defaults_are_in_force(
    environment: pytest.MonkeyPatch, log: Log
) -> None:
    assert configuration.values() == defaults()
    (said,) = log.said(WARNING)
    assert said["level"] == "WARNING"


def test_with_both_down_the_defaults_are_in_force_and_nobody_waits_again_and_again(
    no_cache: None, no_database: None, log: Log
) -> None:
    began = time.monotonic()
    for _ in range(100):
        assert configuration.values() == defaults()
    assert time.monotonic() - began < configuration.DATABASE_SECONDS + 1
    assert len(log.said(WARNING)) == 1
    assert "hunter2" not in log.text


def test_with_the_database_down_the_cache_goes_on(
    live_database: Database, environment: pytest.MonkeyPatch, clock: Clock, log: Log
) -> None:
    store(live_database, KEY, "60")
    configuration.values()
    live_database.close()
    environment.setattr(live_database, "read", None)
    clock.now += 600
    assert configuration.value(KEY) == 60
    assert log.said(WARNING) == []


def test_what_was_read_last_is_better_than_the_defaults(
    live_database: Database,
    environment: pytest.MonkeyPatch,
    no_cache: None,
    clock: Clock,
    log: Log,
) -> None:
    store(live_database, KEY, "60")
    assert configuration.value(KEY) == 60
    clock.now += cache.LOCAL_SECONDS
    with environment.context() as down:
        down.setattr(live_database, "_address", no_address)
        live_database.close()
        assert configuration.value(KEY) == 60
        assert len(log.said(WARNING)) == 1
    clock.now += configuration.REST_SECONDS
    live_database.transact(
        lambda connection: connection.execute(text("UPDATE configuration SET value = '50'"))
    )
    assert configuration.value(KEY) == 50


def no_address() -> Any:
    from fieldgate.errors import Unavailable

    raise Unavailable("There is no such place.")


def test_a_schema_that_is_older_than_the_code_means_defaults(
    live_database: Database, log: Log
) -> None:
    live_database.transact(lambda connection: connection.execute(text("DROP TABLE configuration")))
    assert configuration.values() == defaults()
    assert len(log.said(WARNING)) == 1


def test_a_reader_whose_time_is_up_gets_what_is_known(live_database: Database) -> None:
    with deadline.within(-1):
        assert configuration.values() == defaults()


def test_a_change_past_our_functions_is_in_force_when_the_region_is_renewed(
    live_database: Database,
) -> None:
    assert configuration.value(KEY) == 70
    store(live_database, KEY, "60")
    two_level_cache.renew_changed({"configuration"})
    assert configuration.value(KEY) == 60
