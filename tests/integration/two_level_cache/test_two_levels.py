"""What is kept here and in Valkey, for how long, and what a change makes of it."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldgate import cache
from fieldgate.two_level_cache.two_levels import TwoLevels
from fieldgate.two_level_cache.versions import TRUST_SECONDS
from local.valkey import ValkeyServer
from tests.integration.two_level_cache.conftest import Source, server
from tests.support.clock import Clock

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(params=["valkey", "no valkey"])
def anywhere(request: pytest.FixtureRequest, environment: pytest.MonkeyPatch) -> str:
    if request.param == "no valkey":
        environment.delenv("CACHE_URL")
    return str(request.param)


# Found


@pytest.mark.usefixtures("anywhere")
def test_a_value_is_loaded_once(here: TwoLevels, source: Source) -> None:
    assert [here.get("catalog", "a", source) for _ in range(3)] == ["a value"] * 3
    assert source.asked == 1


def test_another_environment_finds_it_in_valkey(
    here: TwoLevels, there: TwoLevels, source: Source
) -> None:
    here.get("catalog", "a", source)
    assert there.get("catalog", "a", source) == "a value"
    assert source.asked == 1


@pytest.mark.usefixtures("anywhere")
def test_that_there_is_nothing_is_worth_knowing(
    here: TwoLevels, there: TwoLevels, source: Source, anywhere: str
) -> None:
    source.value = None
    for levels in (here, here, there):
        assert levels.get("catalog", "a", source) is None
    assert source.asked == (1 if anywhere == "valkey" else 2)


@given(JSON)
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    one, other = TwoLevels(), TwoLevels()
    key = repr(value).encode().hex()
    for levels in (one, one, other):
        assert levels.get("catalog", key, lambda: value) == value


@pytest.mark.usefixtures("anywhere")
def test_what_is_done_to_a_value_nobody_else_sees(here: TwoLevels, source: Source) -> None:
    source.value = {"roles": ["agent"]}
    for _ in range(2):
        here.get("catalog", "a", source)["roles"].append("admin")
    assert here.get("catalog", "a", source) == {"roles": ["agent"]}
    assert source.value == {"roles": ["agent"]}


@pytest.mark.usefixtures("anywhere")
def test_regions_and_keys_are_told_apart(here: TwoLevels) -> None:
    places = [("catalog", "a"), ("catalog", "b"), ("organisation", "a")]
    for region, key in places:
        here.get(region, key, partial("{} {}".format, region, key))
    found = [here.get(region, key, Source("another")) for region, key in places]
    assert found == ["catalog a", "catalog b", "organisation a"]


@pytest.mark.usefixtures("anywhere")
def test_an_error_is_the_callers_and_is_not_kept(
    here: TwoLevels, source: Source, valkey: ValkeyServer
) -> None:
    def fail() -> str:
        raise LookupError

    for _ in range(2):
        with pytest.raises(LookupError):
            here.get("catalog", "a", fail)
    assert here.get("catalog", "a", source) == "a value"
    with server(valkey) as client:
        assert client.keys("lock:*") == []


@pytest.mark.usefixtures("anywhere")
def test_what_is_known_anyway_is_not_loaded(
    here: TwoLevels, there: TwoLevels, source: Source, anywhere: str
) -> None:
    here.put("permissions", "a:1", ["media:read"])
    assert here.get("permissions", "a:1", source) == ["media:read"]
    if anywhere == "valkey":
        assert there.get("permissions", "a:1", source) == ["media:read"]
    assert source.asked == 0


# For how long


@pytest.mark.parametrize(
    ("region", "seconds"),
    [
        ("permissions", 600),
        ("configuration", 900),
        ("catalog", 3600),
        ("organisation", 86_400),
        ("anything else", 900),
    ],
)
def test_each_region_has_its_time_to_live(
    here: TwoLevels, source: Source, valkey: ValkeyServer, region: str, seconds: int
) -> None:
    here.get(region, "a", source)
    with server(valkey) as client:
        (key,) = client.keys(f"{region}:*:a")
        assert seconds - 5 <= client.ttl(key) <= seconds


def test_it_is_over_when_it_is_however_often_it_was_asked_for(
    here: TwoLevels, source: Source, clock: Clock, valkey: ValkeyServer
) -> None:
    here.get("permissions", "a", source)
    with server(valkey) as client:
        (key,) = client.keys("permissions:*:a")
        for _ in range(59):
            clock.now += 10
            here.get("permissions", "a", source)
        assert 595 <= client.ttl(key) <= 600, "nobody has prolonged it"
        assert source.asked == 1
        client.delete(key)  # Valkey's clock is its own
    clock.now += 10
    here.get("permissions", "a", source)
    assert source.asked == 2


def test_who_takes_it_from_valkey_keeps_it_no_longer_than_valkey(
    here: TwoLevels, there: TwoLevels, source: Source, clock: Clock, valkey: ValkeyServer
) -> None:
    here.get("catalog", "a", source)
    with server(valkey) as client:
        (key,) = client.keys("catalog:*:a")
        client.pexpire(key, 20_000)
        assert there.get("catalog", "a", source) == "a value"
        client.delete(key)
    clock.now += 19
    there.get("catalog", "a", source)
    assert source.asked == 1
    clock.now += 1
    there.get("catalog", "a", source)
    assert source.asked == 2


def test_without_valkey_nothing_outlives_half_a_minute(
    here: TwoLevels, source: Source, clock: Clock, environment: pytest.MonkeyPatch
) -> None:
    environment.delenv("CACHE_URL")
    here.get("organisation", "a", source)
    here.put("organisation", "b", 1)
    clock.now += cache.LOCAL_SECONDS - 0.1
    here.get("organisation", "a", source)
    assert source.asked == 1
    clock.now += 0.1
    here.get("organisation", "a", source)
    here.get("organisation", "b", source)
    assert source.asked == 3


# A change


@pytest.mark.usefixtures("anywhere")
def test_a_change_is_in_force_at_once_where_it_was_made(here: TwoLevels, source: Source) -> None:
    here.get("catalog", "a", source)
    source.value = "another"

    here.renew("catalog")

    assert here.get("catalog", "a", source) == "another"


def test_it_is_in_force_elsewhere_within_the_time_a_version_is_trusted(
    here: TwoLevels, there: TwoLevels, source: Source, clock: Clock
) -> None:
    there.get("catalog", "a", source)
    clock.now += 1
    source.value = "another"
    here.renew("catalog")
    clock.now += TRUST_SECONDS - 1.1
    assert there.get("catalog", "a", source) == "a value"
    clock.now += 0.1
    assert there.get("catalog", "a", source) == "another"


def test_only_what_changed_is_loaded_anew(
    here: TwoLevels, there: TwoLevels, source: Source, clock: Clock
) -> None:
    for region in ("catalog", "configuration"):
        there.get(region, "a", source)
    here.renew("catalog")
    clock.now += TRUST_SECONDS
    for region in ("catalog", "configuration"):
        there.get(region, "a", source)
    assert source.asked == 3


def test_what_was_read_before_a_change_is_found_by_nobody_after_it(
    here: TwoLevels, there: TwoLevels, source: Source
) -> None:
    def load_while_it_changes() -> str:
        before = source.value
        source.value = "another"
        here.renew("catalog")
        return str(before)

    assert here.get("catalog", "a", load_while_it_changes) == "a value"
    assert here.get("catalog", "a", source) == "another"
    assert there.get("catalog", "a", source) == "another"


def test_a_late_write_of_somebody_who_has_not_heard_is_found_by_nobody_who_has(
    here: TwoLevels, there: TwoLevels, source: Source, clock: Clock
) -> None:
    there.get("catalog", "b", source)  # so it knows the version
    here.renew("catalog")
    there.get("catalog", "a", source)  # kept under the version before
    source.value = "another"
    assert here.get("catalog", "a", source) == "another"
    clock.now += TRUST_SECONDS
    assert there.get("catalog", "a", source) == "another"


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("command", ["GET", "DEL"])
def test_a_version_that_another_thread_asks_for_during_a_change_is_not_the_old_one(
    here: TwoLevels, source: Source, environment: pytest.MonkeyPatch, command: str, when: str
) -> None:
    """What asks meets a change just before or after its trip, and the other way round."""
    ask = cache.in_one_trip
    (TwoLevels() if command == "GET" else here).get("catalog", "a", source)

    def change() -> None:
        source.value = "another"
        here.renew("catalog")

    def meanwhile() -> None:
        change() if command == "GET" else here.get("catalog", "a", source)

    def met(commands: Any) -> Any:
        if commands != [(command, "version:catalog")]:
            return ask(commands)
        environment.setattr(cache, "in_one_trip", ask)
        if when == "before":
            meanwhile()
        answers = ask(commands)
        if when == "after":
            meanwhile()
        return answers

    environment.setattr(cache, "in_one_trip", met)
    here.get("catalog", "a", source) if command == "GET" else change()

    assert here.get("catalog", "a", source) == "another"
    assert TwoLevels().get("catalog", "a", source) == "another"


def lose(client: Any) -> None:
    client.delete("version:catalog")


def lose_everything(client: Any) -> None:
    client.flushall()


@pytest.mark.parametrize("loss", [lose, lose_everything])
def test_a_version_that_was_lost_brings_back_nothing_old(
    here: TwoLevels,
    there: TwoLevels,
    source: Source,
    clock: Clock,
    valkey: ValkeyServer,
    loss: Callable[[Any], None],
) -> None:
    here.get("catalog", "a", source)
    source.value = "another"
    with server(valkey) as client:
        before = client.get("version:catalog")
        loss(client)
        assert there.get("catalog", "a", source) == "another"
        assert client.get("version:catalog") != before
    clock.now += TRUST_SECONDS
    assert here.get("catalog", "a", source) == "another"


def test_all_versions_are_asked_for_in_one_trip(
    here: TwoLevels, source: Source, clock: Clock, environment: pytest.MonkeyPatch
) -> None:
    regions = ["catalog", "configuration", "organisation", "permissions"]
    for region in regions:
        here.get(region, "a", source)
    trips = []
    ask = cache.in_one_trip

    def counted(commands: Any) -> Any:
        trips.append(list(commands))
        return ask(commands)

    environment.setattr(cache, "in_one_trip", counted)
    clock.now += TRUST_SECONDS
    for region in regions * 100:
        here.get(region, "a", source)
    assert [len(trip) for trip in trips] == [len(regions)]


def test_the_clock_set_back_makes_nothing_young_again(
    here: TwoLevels, there: TwoLevels, source: Source, clock: Clock
) -> None:
    there.get("catalog", "a", source)
    source.value = "another"
    here.renew("catalog")
    clock.now -= 3600
    assert there.get("catalog", "a", source) == "another"
