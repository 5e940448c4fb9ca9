"""When a vendor is asked again, and when it isn't asked at all."""

import time
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from fieldgate import deadline
from fieldgate.circuit_breaker import FAILURES
from fieldgate.errors import Unavailable
from fieldgate.resilience import CircuitOpen, Tries, Vendor, tried

QUICK = 0.01


class Passing(Exception):
    """May not come again."""


class Refused(Exception):
    """An answer."""


class NotSetUp(Passing):
    """The vendor was not called."""


def raising(*errors: type[Exception]) -> tuple[Callable[[], str], list[int]]:
    """Return work that raises these one after the other, then is done; and its calls."""
    calls: list[int] = []
    ahead: Iterator[type[Exception]] = iter(errors)

    def work() -> str:
        calls.append(1)
        for error in ahead:
            raise error
        return "done"

    return work, calls


def vendor(attempts: int = 1) -> Vendor:
    tries = Tries(on=(Passing,), attempts=attempts, seconds=5, longest_pause=QUICK)
    return Vendor(
        f"test-{uuid4()}",
        tries,
        failures=(Passing,),
        answers=(Refused,),
        uncalled=(NotSetUp,),
    )


def test_what_may_pass_is_tried_again_and_nothing_else() -> None:
    tries = Tries(on=(Passing,), attempts=3, seconds=5, longest_pause=QUICK)
    work, calls = raising(Passing, Passing)
    assert (tried(tries, work), len(calls)) == ("done", 3)
    work, calls = raising(Passing, Passing, Passing)
    with pytest.raises(Passing):
        tried(tries, work)
    assert len(calls) == 3
    work, calls = raising(Refused)
    with pytest.raises(Refused):
        tried(tries, work)
    assert len(calls) == 1


@pytest.mark.parametrize(("limit", "left"), [(0.3, 60), (60, 0.3)])
def test_no_try_begins_after_its_time_or_the_deadline(limit: float, left: float) -> None:
    ends = time.monotonic() + 0.3
    began = []

    def work() -> None:
        began.append(time.monotonic())
        raise Passing

    tries = Tries(on=(Passing,), attempts=50, seconds=limit, longest_pause=0.1)
    with deadline.within(left), pytest.raises(Passing):
        tried(tries, work)
    # Of the machine's, for what lies between a look at the clock and the next.
    allowance = 0.05
    assert len(began) > 1
    assert max(began) < ends + allowance


def test_where_the_longest_pause_is_too_long_there_is_one_try() -> None:
    work, calls = raising(*[Passing] * 50)
    with deadline.within(0.1), pytest.raises(Passing):
        tried(Tries(on=(Passing,), attempts=50, seconds=60, longest_pause=0.5), work)
    assert len(calls) == 1


def test_without_time_nothing_is_tried() -> None:
    work, calls = raising()
    with deadline.within(0), pytest.raises(Unavailable):
        tried(Tries(on=(Passing,)), work)
    assert calls == []


def test_after_failures_in_a_row_a_vendor_is_left_alone(environment: pytest.MonkeyPatch) -> None:
    one = vendor()
    for _ in range(FAILURES):
        with pytest.raises(Passing):
            one.call(raising(Passing)[0])
    work, calls = raising()
    with pytest.raises(CircuitOpen):
        one.call(work)
    assert calls == []


def test_a_call_that_was_tried_again_counts_once(environment: pytest.MonkeyPatch) -> None:
    one = vendor(attempts=2)
    for _ in range(FAILURES - 1):
        with pytest.raises(Passing):
            one.call(raising(Passing, Passing)[0])
    assert one.call(raising(Passing)[0]) == "done"
    assert one.breaker.state() == "closed"


@pytest.mark.parametrize("error", [Refused, NotSetUp, ValueError])
def test_what_is_no_fault_of_the_vendor_opens_nothing(
    environment: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    one = vendor()
    for _ in range(FAILURES + 1):
        with pytest.raises(error):
            one.call(raising(error)[0])
    assert one.breaker.state() == "closed"


def test_an_answer_ends_a_row_of_failures_and_what_never_reached_it_does_not(
    environment: pytest.MonkeyPatch,
) -> None:
    for between, state in ((Refused, "closed"), (NotSetUp, "open")):
        one = vendor()
        for error in (Passing, Passing, between, Passing):
            with pytest.raises(error):
                one.call(raising(error)[0])
        assert one.breaker.state() == state
