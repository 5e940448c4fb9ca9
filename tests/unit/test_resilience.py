"""When a vendor is asked again, and when it isn't asked at all."""

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


def test_no_try_begins_after_its_time() -> None:
    work, calls = raising(*[Passing] * 50)
    with pytest.raises(Passing):
        tried(Tries(on=(Passing,), attempts=50, seconds=0.05, longest_pause=0.04), work)
    assert 1 <= len(calls) < 10


def test_no_try_begins_after_the_deadline() -> None:
    work, calls = raising(*[Passing] * 50)
    tries = Tries(on=(Passing,), attempts=50, seconds=60, longest_pause=0.04)
    with deadline.within(0.05), pytest.raises(Passing):
        tried(tries, work)
    assert 1 <= len(calls) < 10
    with deadline.within(0), pytest.raises(Unavailable):
        tried(tries, work)


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
