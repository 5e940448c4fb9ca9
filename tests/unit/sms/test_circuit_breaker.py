"""When a provider is left alone, and when it is tried again."""

from types import SimpleNamespace

import pytest

from fieldgate import config
from fieldgate.sms import circuit_breaker
from fieldgate.sms.circuit_breaker import (
    FAILURES,
    KEPT_SECONDS,
    OPEN_SECONDS,
    PROBE_SECONDS,
    CircuitBreaker,
)
from local.valkey import ValkeyServer
from tests.conftest import empty_valkey
from tests.support.clock import Clock


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
    config.forget()
    breaker = opened()
    assert not breaker.lets_through()
    clock.now += OPEN_SECONDS
    assert breaker.lets_through()
