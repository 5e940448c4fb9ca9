"""Whatever is wrong with Valkey, a value is found or loaded; and who does it when many want it."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Lock
from typing import Any

import pytest
from valkey import Valkey

from fieldgate import cache, deadline, two_level_cache
from fieldgate.two_level_cache import two_levels
from fieldgate.two_level_cache.two_levels import LOOKS, TwoLevels
from fieldgate.two_level_cache.versions import TRUST_SECONDS
from local.valkey import ValkeyServer, start_valkey
from tests.integration.test_cache import port_of, silent_server
from tests.integration.two_level_cache.conftest import Source
from tests.support.clock import Clock
from tests.support.parallel import at_once
from tests.support.ports import free_port

MANY = 20


def server(valkey: ValkeyServer) -> Any:
    return Valkey.from_url(valkey.url, decode_responses=True)


@pytest.fixture
def own_valkey(environment: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ValkeyServer]:
    """A server that the test may stop; on its port another may be started."""
    with start_valkey(tmp_path, free_port()) as started:
        environment.setenv("CACHE_URL", started.url)
        yield started


# Down, slow, full


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1:1/0", "hunter2", "http://127.0.0.1", "redis://:x@127.0.0.1:y/0"]
)
def test_a_wrong_address_is_only_a_load(
    here: TwoLevels, source: Source, environment: pytest.MonkeyPatch, url: str
) -> None:
    environment.setenv("CACHE_URL", url)
    here.renew("catalog")
    for _ in range(2):
        assert here.get("catalog", "a", source) == "a value"
    here.put("catalog", "b", 1)
    assert here.get("catalog", "b", source) == 1
    assert source.asked == 1


def test_it_goes_down_and_comes_back(
    here: TwoLevels, source: Source, own_valkey: ValkeyServer, tmp_path: Path, clock: Clock
) -> None:
    here.get("catalog", "a", source)
    own_valkey.stop()
    source.value = "another"
    assert here.get("catalog", "a", source) == "a value", "what is here is trusted as before"

    clock.now += TRUST_SECONDS
    assert here.get("catalog", "a", source) == "another"
    source.value = "a third"
    clock.now += cache.LOCAL_SECONDS
    assert here.get("catalog", "a", source) == "a third", "as nobody could tell of a change"

    with start_valkey(tmp_path, port_of(own_valkey)) as again:
        clock.now += max(TRUST_SECONDS, cache.REST_SECONDS)
        assert here.get("catalog", "a", source) == "a third"
        with server(again) as client:
            assert client.keys("catalog:*:a"), "it is shared again"


def test_a_change_while_it_is_down_is_in_force_here(
    here: TwoLevels, source: Source, own_valkey: ValkeyServer, clock: Clock
) -> None:
    here.get("catalog", "a", source)
    own_valkey.stop()
    source.value = "another"
    here.renew("catalog")
    assert here.get("catalog", "a", source) == "another"


def test_a_change_while_nobody_could_be_told_is_told_later(
    there: TwoLevels, source: Source, clock: Clock, environment: pytest.MonkeyPatch
) -> None:
    """Valkey was there for others, and kept what they know."""
    two_level_cache.renew_missed(lambda tables: dict.fromkeys(tables, "0"))
    there.get("configuration", "a", source)
    with environment.context() as cut_off:
        cut_off.setattr(cache, "in_one_trip", lambda commands: None)
        source.value = "another"
        two_level_cache.renew("configuration")
        two_level_cache.renew_missed(lambda tables: dict.fromkeys(tables, "1"))
    clock.now += TRUST_SECONDS
    assert there.get("configuration", "a", source) == "a value"

    two_level_cache.renew_missed(lambda tables: dict.fromkeys(tables, "1"))

    clock.now += TRUST_SECONDS
    assert there.get("configuration", "a", source) == "another"


def test_one_that_hangs_is_waited_for_once(
    here: TwoLevels, source: Source, environment: pytest.MonkeyPatch
) -> None:
    environment.delenv("CACHE_ANSWER_SECONDS")
    with silent_server() as port:
        environment.setenv("CACHE_URL", f"redis://127.0.0.1:{port}")
        began = time.monotonic()
        for number in range(100):
            assert here.get("catalog", str(number), source) == "a value"
        assert time.monotonic() - began < 2


def test_a_full_one_is_only_a_load_and_still_hears_of_changes(
    here: TwoLevels, there: TwoLevels, source: Source, own_valkey: ValkeyServer, clock: Clock
) -> None:
    there.get("catalog", "a", source)
    with server(own_valkey) as client:
        client.config_set("maxmemory", "1")
        for levels in (here, there):
            assert levels.get("catalog", "b", source) == "a value"
        clock.now += cache.REST_SECONDS
        source.value = "another"
        here.renew("catalog")
        assert client.get("version:catalog") is None
    clock.now += TRUST_SECONDS
    for levels in (here, there):
        assert levels.get("catalog", "a", source) == "another"


def test_started_anew_it_knows_nothing_old(
    here: TwoLevels,
    there: TwoLevels,
    source: Source,
    own_valkey: ValkeyServer,
    tmp_path: Path,
    clock: Clock,
) -> None:
    here.get("catalog", "a", source)
    own_valkey.stop()
    source.value = "another"
    with start_valkey(tmp_path, port_of(own_valkey)):
        clock.now += TRUST_SECONDS
        assert here.get("catalog", "a", source) == "another"
        assert there.get("catalog", "a", source) == "another"
        assert source.asked == 2


# Not ours


def set_text(client: Any, key: str) -> None:
    client.set(key, "{not JSON", ex=60)


def set_nothing(client: Any, key: str) -> None:
    client.set(key, "", ex=60)


def set_bytes(client: Any, key: str) -> None:
    client.set(key, b'"\xff\xfe', ex=60)


def set_depth(client: Any, key: str) -> None:
    client.set(key, "[" * 200_000, ex=60)


def set_list(client: Any, key: str) -> None:
    client.delete(key)
    client.rpush(key, "a")


@pytest.mark.parametrize("set_other", [set_text, set_nothing, set_bytes, set_depth, set_list])
def test_what_is_no_value_is_loaded(
    here: TwoLevels,
    there: TwoLevels,
    source: Source,
    valkey: ValkeyServer,
    set_other: Callable[[Any, str], None],
) -> None:
    here.get("catalog", "a", source)
    with server(valkey) as client:
        (key,) = client.keys("catalog:*:a")
        set_other(client, key)
    assert there.get("catalog", "a", source) == "a value"
    assert source.asked == 2


def test_a_version_of_another_type_is_as_if_there_were_no_valkey(
    here: TwoLevels, source: Source, valkey: ValkeyServer
) -> None:
    with server(valkey) as client:
        client.rpush("version:catalog", "a")
    for _ in range(2):
        assert here.get("catalog", "a", source) == "a value"
    assert source.asked == 1


# Many at once


@pytest.fixture
def waited_for(valkey: ValkeyServer, environment: pytest.MonkeyPatch) -> Event:
    """Set once all but one of MANY environments have looked for the value and wait."""
    everybody_waits, waiting = Event(), []

    def pause(_seconds: float) -> None:
        waiting.append(1)
        if len(waiting) >= MANY - 1:
            everybody_waits.set()
        time.sleep(0.01)

    environment.setattr(two_levels, "sleep", pause)
    return everybody_waits


def test_many_environments_load_it_once(source: Source, waited_for: Event) -> None:
    environments = [TwoLevels() for _ in range(MANY)]

    def load() -> Any:
        waited_for.wait(10)
        return source()

    found = at_once(MANY, lambda index: environments[index].get("catalog", "a", load))

    assert found == ["a value"] * MANY
    assert source.asked == 1


def test_many_threads_and_environments_load_it_once(valkey: ValkeyServer, source: Source) -> None:
    environments = [TwoLevels() for _ in range(4)]
    found = at_once(MANY, lambda index: environments[index % 4].get("catalog", "a", source))
    assert Counter(found) == {"a value": MANY}
    assert source.asked == 1


def test_when_loading_fails_another_takes_over(source: Source, waited_for: Event) -> None:
    environments = [TwoLevels() for _ in range(MANY)]
    tried: list[int] = []

    def load() -> Any:
        tried.append(1)
        if len(tried) == 1:
            waited_for.wait(10)
            raise LookupError
        return source()

    def outcome(index: int) -> str:
        try:
            return str(environments[index].get("catalog", "a", load))
        except LookupError:
            return "failed"

    assert Counter(at_once(MANY, outcome)) == {"a value": MANY - 1, "failed": 1}
    assert source.asked == 1


@pytest.fixture
def dead_owner(valkey: ValkeyServer, here: TwoLevels, source: Source) -> str:
    """Somebody was killed who had the lock of the value; yields the lock's key."""
    here.get("catalog", "other", source)
    with server(valkey) as client:
        lock = f"lock:catalog:{client.get('version:catalog')}:a"
        client.set(lock, "1")
    return lock


def test_who_waits_in_vain_loads_by_themselves(
    dead_owner: str, here: TwoLevels, source: Source, environment: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    environment.setattr(two_levels, "sleep", pauses.append)
    assert here.get("catalog", "a", source) == "a value"
    assert len(pauses) == LOOKS
    assert sum(pauses) <= 1.01


def test_a_lock_ends_by_itself(
    here: TwoLevels, source: Source, valkey: ValkeyServer, waited_for: Event
) -> None:
    with server(valkey) as client:

        def load() -> Any:
            (lock,) = client.keys("lock:*")
            assert 0 < client.pttl(lock) <= two_levels.LOCK_SECONDS * 1000
            return source()

        here.get("catalog", "a", load)
        assert client.keys("lock:*") == []


def test_nobody_waits_when_time_is_up(
    dead_owner: str, here: TwoLevels, source: Source, environment: pytest.MonkeyPatch
) -> None:
    environment.setattr(two_levels, "sleep", None)
    with deadline.within(0):
        assert here.get("catalog", "a", source) == "a value"


def test_nobody_reads_what_is_older_than_their_own_write(valkey: ValkeyServer) -> None:
    environments = [TwoLevels() for _ in range(8)]
    writing, newest = Lock(), [0]

    def write_and_read(index: int) -> bool:
        levels = environments[index]
        for _ in range(20):
            with writing:
                newest[0] += 1
                mine = newest[0]
            levels.renew("catalog")
            if levels.get("catalog", "a", lambda: newest[0]) < mine:
                return False
        return True

    assert all(at_once(len(environments), write_and_read))


def test_threads_that_ask_while_another_renews_keep_nothing_old(valkey: ValkeyServer) -> None:
    levels, newest = TwoLevels(), [0]

    def work(index: int) -> bool:
        for _ in range(50):
            if index:
                levels.get("catalog", "a", lambda: newest[0])
            else:
                newest[0] += 1
                levels.renew("catalog")
                if levels.get("catalog", "a", lambda: newest[0]) < newest[0]:
                    return False
        return True

    assert all(at_once(6, work))
