"""What a process keeps, for how long, and how much of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldgate.two_level_cache import local_texts
from fieldgate.two_level_cache.local_texts import MOST_BYTES, LocalTexts
from tests.support.clock import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock.instead_of_time_in(local_texts, monkeypatch)


def test_a_text_lives_as_long_as_told_however_often_it_is_asked_for(clock: Clock) -> None:
    texts = LocalTexts()
    texts.set("a", "1", 10)
    for _ in range(9):
        clock.now += 1
        assert texts.get("a") == "1"
    clock.now += 1
    assert texts.get("a") is None
    assert texts.bytes == 0, "and its memory is free"


def test_a_text_from_the_future_is_not_believed(clock: Clock) -> None:
    texts = LocalTexts()
    texts.set("a", "1", 10)
    clock.now -= 3600
    assert texts.get("a") is None


@pytest.mark.parametrize("seconds", [0, -0.001, -1])
def test_what_is_over_is_not_kept(seconds: float) -> None:
    texts = LocalTexts()
    texts.set("a", "1", seconds)
    assert (texts.get("a"), texts.bytes) == (None, 0)


def test_what_nobody_asked_for_longest_makes_room() -> None:
    texts = LocalTexts()
    text = "x" * (MOST_BYTES // 17)
    for number in range(16):
        texts.set(str(number), text, 10)
    assert texts.get("0") == text

    texts.set("16", text, 10)

    assert texts.get("1") is None
    assert texts.get("0") == texts.get("16") == text


def test_one_that_would_crowd_out_others_is_not_kept() -> None:
    texts = LocalTexts()
    texts.set("small", "1", 10)
    texts.set("large", "x" * (MOST_BYTES // 16), 10)
    assert (texts.get("small"), texts.get("large")) == ("1", None)


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, MOST_BYTES // 12)), max_size=100),
)
def test_memory_is_bounded_and_counted(wanted: list[tuple[int, int]]) -> None:
    texts = LocalTexts()
    for number, size in wanted:
        texts.set(str(number), "x" * size, 10)
        assert 0 <= texts.bytes <= MOST_BYTES
    kept = {number for number, _ in wanted if texts.get(str(number)) is not None}
    assert (texts.bytes == 0) == (not kept)
