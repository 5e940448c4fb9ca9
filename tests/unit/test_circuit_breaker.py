"""When a provider is left alone, and when it is tried again."""

from types import SimpleNamespace
from uuid import uuid4

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from valkey import Valkey

from fieldgate import cache, circuit_breaker
from fieldgate import settings as fieldgate_settings
from fieldgate.circuit_breaker import (
    FAILURES,
    KEPT_SECONDS,
    OPEN_SECONDS,
    PROBE_SECONDS,
    CircuitBreaker,
)
from local.valkey import ValkeyServer
from tests.conftest import empty_valkey
from tests.support.clock import Clock
from tests.support.parallel import at_once


@pytest.fixture
def clock(environment: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    environment.setattr(circuit_breaker, "time", SimpleNamespace(time=clock.monotonic))
    return clock


def opened() -> CircuitBreaker:
    breaker = CircuitBreaker("sms")
    for _ in range(FAILURES):
        assert breaker.lets_through()
        breaker.failed()
    return breaker


def test_it_opens_after_three_failures_in_a_row(clock: Clock) -> None:
    assert not opened().lets_through()


def test_a_success_in_between_starts_the_count_again(clock: Clock) -> None:
    breaker = CircuitBreaker("sms")
    for _ in range(3):
        breaker.failed()
        breaker.failed()
        breaker.succeeded()
    assert breaker.lets_through()


def test_after_a_minute_one_call_tries_and_the_others_wait_for_it(clock: Clock) -> None:
    breaker = opened()
    clock.now += OPEN_SECONDS - 1
    assert not breaker.lets_through()
    clock.now += 1
    assert breaker.lets_through()
    assert not breaker.lets_through()
    assert not CircuitBreaker("sms").lets_through()


def test_a_try_that_succeeds_closes_it_for_all(clock: Clock) -> None:
    breaker = opened()
    clock.now += OPEN_SECONDS
    assert breaker.lets_through()
    breaker.succeeded()
    assert breaker.lets_through()
    assert CircuitBreaker("sms").lets_through()


def test_a_try_that_fails_opens_it_for_another_minute(clock: Clock) -> None:
    breaker = opened()
    clock.now += OPEN_SECONDS
    assert breaker.lets_through()
    breaker.failed()
    clock.now += OPEN_SECONDS - 1
    assert not breaker.lets_through()
    clock.now += 1
    assert breaker.lets_through()


def test_a_try_that_never_ends_is_followed_by_another(clock: Clock) -> None:
    breaker = opened()
    clock.now += OPEN_SECONDS
    assert breaker.lets_through()
    clock.now += PROBE_SECONDS
    assert CircuitBreaker("sms").lets_through()


def test_another_process_needs_no_failures_of_its_own_to_know(clock: Clock) -> None:
    opened()
    other = CircuitBreaker("sms")
    assert not other.lets_through()
    clock.now += OPEN_SECONDS
    assert other.lets_through()
    other.failed()  # one is enough now
    assert not other.lets_through()


@pytest.mark.parametrize("asleep", [OPEN_SECONDS, OPEN_SECONDS + KEPT_SECONDS + 1])
def test_a_process_that_slept_while_another_closed_it_blocks_nobody(
    clock: Clock, valkey: ValkeyServer, asleep: int
) -> None:
    slept = opened()
    clock.now += OPEN_SECONDS
    other = CircuitBreaker("sms")
    assert other.lets_through()
    other.succeeded()
    clock.now += asleep
    if asleep > KEPT_SECONDS:
        empty_valkey(valkey.url)  # whose own clock would have forgotten it
    assert slept.lets_through()
    assert slept.lets_through()
    assert CircuitBreaker("sms").lets_through()
    slept.failed()  # one of three, as at the beginning
    assert slept.lets_through()


def test_a_process_that_knows_of_no_closing_probes_although_the_cache_forgot(
    clock: Clock, valkey: ValkeyServer
) -> None:
    breaker = opened()
    empty_valkey(valkey.url)
    assert not breaker.lets_through()
    clock.now += OPEN_SECONDS
    assert breaker.lets_through()
    assert not breaker.lets_through()


def test_without_a_cache_it_works_for_this_process(
    clock: Clock, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("CACHE_URL", "redis://127.0.0.1:1")
    fieldgate_settings.forget()
    breaker = opened()
    assert not breaker.lets_through()
    clock.now += OPEN_SECONDS
    assert breaker.lets_through()


def test_failures_of_several_environments_are_counted_together(clock: Clock) -> None:
    first, second, third = (CircuitBreaker("sms") for _ in range(3))
    for breaker in (first, second, third):
        assert breaker.lets_through()
    for breaker in (first, second, third):
        breaker.failed()
    assert not CircuitBreaker("sms").lets_through()


def test_a_success_of_another_environment_starts_the_count_again(clock: Clock) -> None:
    first, second = CircuitBreaker("sms"), CircuitBreaker("sms")
    first.failed()
    first.failed()
    assert second.lets_through()
    second.succeeded()
    first.failed()
    assert first.lets_through()


def test_of_fifty_at_once_one_probes(clock: Clock) -> None:
    opened()
    clock.now += OPEN_SECONDS
    allowed = at_once(50, lambda _: CircuitBreaker("sms").lets_through())
    assert allowed.count(True) == 1


def test_in_good_times_a_success_asks_nobody_and_nothing_is_written(
    clock: Clock, valkey: ValkeyServer, environment: pytest.MonkeyPatch
) -> None:
    breaker = CircuitBreaker("sms")
    assert breaker.lets_through()
    with Valkey.from_url(valkey.url) as client:
        assert client.keys("circuit:*") == []
    environment.setattr(cache, "evaluate", lambda *_: pytest.fail("asked"))
    breaker.succeeded()


def test_its_state_can_be_looked_at(clock: Clock) -> None:
    looking = CircuitBreaker("sms")
    assert looking.state() == "closed"
    breaker = opened()
    assert looking.state() == "open"
    clock.now += OPEN_SECONDS
    assert looking.state() == "half_open"
    assert breaker.lets_through()
    assert looking.state() == "half_open"
    breaker.failed()
    assert looking.state() == "open"
    breaker.succeeded()
    assert looking.state() == "closed"


@pytest.mark.parametrize("value", ["0.0", "", "x:y:z", "1:2", "1:2:3:4", "-1:5:5"])
def test_a_value_that_is_none_of_ours_is_no_value(
    clock: Clock, valkey: ValkeyServer, value: str
) -> None:
    with Valkey.from_url(valkey.url) as client:
        client.set("circuit:sms", value)
    breaker = CircuitBreaker("sms")
    assert breaker.state() == "closed"
    assert breaker.lets_through()
    breaker.failed()
    breaker.failed()
    breaker.failed()
    assert not breaker.lets_through()


@pytest.mark.parametrize("valkey_is_there", [True, False])
def test_failures_of_long_ago_are_no_longer_counted(
    clock: Clock,
    valkey: ValkeyServer,
    environment: pytest.MonkeyPatch,
    *,
    valkey_is_there: bool,
) -> None:
    """Others may have succeeded since; what told of that is forgotten as well."""
    if not valkey_is_there:
        environment.setattr(cache, "evaluate", lambda *_: None)
    slept = CircuitBreaker("sms")
    slept.failed()
    slept.failed()
    empty_valkey(valkey.url)  # whose own clock would have forgotten it
    clock.now += KEPT_SECONDS + 1
    slept.failed()
    assert slept.lets_through()
    assert slept.state() == "closed"


@pytest.mark.parametrize("forgotten", [True, False])
def test_a_clock_that_was_ahead_keeps_nobody_away_for_longer(
    clock: Clock, valkey: ValkeyServer, *, forgotten: bool
) -> None:
    clock.now += 3600
    opened()
    clock.now -= 3600
    other = CircuitBreaker("sms")
    assert not other.lets_through()
    if forgotten:
        empty_valkey(valkey.url)
    assert other.state() == "open"
    clock.now += OPEN_SECONDS
    assert other.lets_through()
    other.succeeded()
    assert other.lets_through()


def test_a_cache_that_is_lost_and_comes_back_empty_changes_nothing_for_who_knows(
    clock: Clock, environment: pytest.MonkeyPatch
) -> None:
    breaker = opened()
    with environment.context() as down:
        down.setattr(cache, "evaluate", lambda *_: None)
        assert not breaker.lets_through()
        clock.now += OPEN_SECONDS
        assert breaker.lets_through()
    breaker.succeeded()  # the server is back, and holds that it is open
    assert CircuitBreaker("sms").lets_through()


class Twins(RuleBasedStateMachine):
    """The script in Valkey and what a process does by itself are the same rules."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.clock.now += 1_000_000  # so that it can be set back
        self.name = f"twin-{uuid4()}"
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(circuit_breaker, "time", SimpleNamespace(time=self.clock.monotonic))
        self.shared, self.alone = CircuitBreaker(self.name), CircuitBreaker(self.name)

    def _by_itself(self, what: str) -> object:
        with pytest.MonkeyPatch.context() as context:
            context.setattr(cache, "evaluate", lambda *_: None)
            return getattr(self.alone, what)()

    @rule(what=st.sampled_from(["lets_through", "failed", "failed", "succeeded"]))
    def move(self, what: str) -> None:
        assert getattr(self.shared, what)() == self._by_itself(what)

    @rule(
        seconds=st.sampled_from(
            [1, PROBE_SECONDS, OPEN_SECONDS, OPEN_SECONDS + KEPT_SECONDS, -1, -3600]
        )
    )
    def wait(self, seconds: int) -> None:
        self.clock.now += seconds

    def teardown(self) -> None:
        self.patch.undo()


def test_valkey_and_a_process_by_itself_go_by_the_same_rules(
    environment: pytest.MonkeyPatch,
) -> None:
    run_state_machine_as_test(Twins, settings=settings(max_examples=40, deadline=None))
