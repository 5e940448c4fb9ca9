"""What many threads want at once is done once, and a failure is nobody else's."""

from threading import Event

import pytest

from fieldgate.two_level_cache import single_flight
from fieldgate.two_level_cache.single_flight import SingleFlight
from tests.support.parallel import at_once

MANY = 20


class Waiting:
    """Counts the threads that wait for another's work."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.number = 0
        self.all_there = Event()
        waiting = self

        class Counted(Event):
            def wait(self, timeout: float | None = None) -> bool:
                waiting.number += 1
                if waiting.number == MANY - 1:
                    waiting.all_there.set()
                return super().wait(timeout)

        monkeypatch.setattr(single_flight, "Event", Counted)


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> Waiting:
    return Waiting(monkeypatch)


def test_it_is_done_once_for_all_who_want_it(waiting: Waiting) -> None:
    flights, done = SingleFlight[int](), []

    def work() -> int:
        waiting.all_there.wait(10)
        done.append(1)
        return 7

    assert at_once(MANY, lambda _: flights.do("a", work)) == [7] * MANY
    assert len(done) == 1
    assert flights.do("a", lambda: 8) == 8, "and what is over is over"


def test_who_waited_for_a_failure_does_it_for_themselves(waiting: Waiting) -> None:
    flights, tried = SingleFlight[int](), []

    def work() -> int:
        tried.append(1)
        if len(tried) == 1:
            waiting.all_there.wait(10)
            raise LookupError
        return 7

    def outcome(_: int) -> int | str:
        try:
            return flights.do("a", work)
        except LookupError:
            return "failed"

    assert sorted(at_once(MANY, outcome), key=str) == [7] * (MANY - 1) + ["failed"]


def test_nobody_waits_for_a_hanging_one_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(single_flight, "WAIT_SECONDS", 0.01)
    flights, others_are_done = SingleFlight[int](), Event()

    def work(number: int) -> int:
        begun.append(number)
        if len(begun) == 1:
            others_are_done.wait(10)
        else:
            others_are_done.set()
        return number

    begun: list[int] = []
    assert at_once(2, lambda number: flights.do("a", lambda: work(number))) == [0, 1]


def test_other_keys_are_other_work() -> None:
    flights, inner = SingleFlight[int](), []

    def outer() -> int:
        inner.append(flights.do("b", lambda: 2))
        return 1

    assert (flights.do("a", outer), inner) == (1, [2])
