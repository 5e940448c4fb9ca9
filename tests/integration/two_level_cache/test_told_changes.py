"""Changes that are told by their table, or found by the change log."""

import pytest

from fieldgate import two_level_cache
from fieldgate.two_level_cache.two_levels import TwoLevels
from local.valkey import ValkeyServer
from tests.integration.two_level_cache.conftest import Source, server


def test_changes_renew_the_regions_of_their_tables(source: Source) -> None:
    for region in ("configuration", "catalog"):
        two_level_cache.get(region, "a", source)
    two_level_cache.renew_changed(["media", "users"])
    two_level_cache.get("configuration", "a", source)
    assert source.asked == 2

    two_level_cache.renew_changed(["media", "configuration"])

    for region in ("configuration", "catalog"):
        two_level_cache.get(region, "a", source)
    assert source.asked == 3


class Marks:
    """How far the change log is."""

    def __init__(self) -> None:
        self.mark = "0"
        self.asked = 0

    def __call__(self, tables: list[str]) -> dict[str, str]:
        self.asked += 1
        return dict.fromkeys(tables, self.mark)


def test_a_change_nobody_told_of_is_found_by_the_change_log(source: Source) -> None:
    marks = Marks()
    two_level_cache.renew_missed(marks)
    two_level_cache.get("configuration", "a", source)
    two_level_cache.renew_missed(marks)
    two_level_cache.get("configuration", "a", source)
    assert source.asked == 1

    marks.mark = "1"
    for _ in range(2):
        two_level_cache.renew_missed(marks)
        two_level_cache.get("configuration", "a", source)
    assert source.asked == 2, "and once is enough"


def test_a_valkey_that_goes_back_in_time_is_told_again(
    source: Source, valkey: ValkeyServer
) -> None:
    """As a replica does that takes over before it has heard of a change."""
    marks = Marks()
    two_level_cache.renew_missed(marks)
    two_level_cache.get("configuration", "a", source)
    with server(valkey) as client:
        before = {key: (client.get(key), client.pttl(key)) for key in client.keys("*")}
        source.value, marks.mark = "another", "1"
        two_level_cache.renew("configuration")
        two_level_cache.renew_missed(marks)
        client.flushall()
        for key, (text, milliseconds) in before.items():
            client.set(key, text, px=milliseconds if milliseconds > 0 else None)
    two_level_cache.renew_missed(marks)
    assert TwoLevels().get("configuration", "a", source) == "another"


def test_without_valkey_the_change_log_is_not_asked(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("CACHE_URL")
    marks = Marks()
    two_level_cache.renew_missed(marks)
    assert marks.asked == 0
