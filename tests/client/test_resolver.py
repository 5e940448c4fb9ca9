"""Lookups are raced, losers are cancelled, and those that can't be are bounded."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable

import pytest

from fieldgate_client.resolver import SystemResolver, any_resolves

HOSTS = ("api.test", "second.test", "third.test")


class Names:
    """A resolver whose names resolve, fail or hang as told; it knows how each lookup ended."""

    def __init__(self, **fates: Callable[[], Awaitable[object]]) -> None:
        self.fates = {f"{name}.test": fate for name, fate in fates.items()}
        self.began: list[str] = []
        self.cancelled: list[str] = []

    async def __call__(self, host: str) -> None:
        self.began.append(host)
        try:
            await self.fates[host]()
        except asyncio.CancelledError:
            self.cancelled.append(host)
            raise


async def found() -> None:
    return None


async def unknown() -> None:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


async def hangs() -> None:
    await asyncio.Event().wait()


def test_the_first_success_ends_the_race_and_the_losers_are_cancelled() -> None:
    names = Names(api=hangs, second=found, third=hangs)

    assert asyncio.run(any_resolves(HOSTS, names)) is True
    assert names.began == list(HOSTS)
    assert names.cancelled == ["api.test", "third.test"]


def test_a_failure_does_not_end_the_race() -> None:
    met = asyncio.Event()

    async def fails_first() -> None:
        met.set()
        raise OSError("no route")

    async def found_later() -> None:
        await met.wait()

    assert asyncio.run(
        any_resolves(HOSTS, Names(api=fails_first, second=unknown, third=found_later))
    )


def test_nothing_resolves() -> None:
    assert not asyncio.run(any_resolves(HOSTS, Names(api=unknown, second=unknown, third=unknown)))


def test_lookups_that_take_too_long_count_as_failed_and_are_cancelled() -> None:
    names = Names(api=hangs, second=unknown, third=hangs)

    assert asyncio.run(any_resolves(HOSTS, names, seconds=0.01)) is False
    assert names.cancelled == ["api.test", "third.test"]


def test_a_race_that_is_cancelled_leaves_no_lookup_behind() -> None:
    all_began = asyncio.Event()

    async def the_last_hangs() -> None:
        all_began.set()
        await hangs()

    names = Names(api=hangs, second=hangs, third=the_last_hangs)

    async def story() -> None:
        race = asyncio.create_task(any_resolves(HOSTS, names))
        await all_began.wait()
        race.cancel()
        await asyncio.wait((race,))
        assert names.cancelled == list(HOSTS)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(story())


def test_a_bug_in_a_resolver_is_shown_and_the_others_are_cancelled() -> None:
    async def broken() -> None:
        raise KeyError("bug")

    names = Names(api=broken, second=hangs, third=hangs)

    with pytest.raises(KeyError):
        asyncio.run(any_resolves(HOSTS, names))
    assert names.cancelled == ["second.test", "third.test"]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_the_systems_lookup_finds_this_machine(host: str) -> None:
    assert asyncio.run(any_resolves([host], SystemResolver())) is True


@pytest.mark.parametrize("error", [socket.gaierror("no such name"), UnicodeError("label too long")])
def test_the_systems_lookup_that_fails_is_no_success(error: Exception) -> None:
    def fails(host: str, port: None) -> None:
        raise error

    assert asyncio.run(any_resolves(HOSTS, SystemResolver(fails))) is False


def test_a_lookup_that_hangs_in_the_system_is_joined_and_not_started_again() -> None:
    go_on = threading.Event()
    calls: list[str] = []

    def hangs_in_the_system(host: str, port: None) -> None:
        calls.append(host)
        go_on.wait(10)

    async def story() -> None:
        resolver = SystemResolver(hangs_in_the_system)
        for _ in range(20):
            assert not await any_resolves(["api.test"], resolver, seconds=0.001)
        assert calls == ["api.test"]
        joins = asyncio.create_task(resolver("api.test"))
        await asyncio.sleep(0)  # it waits for the lookup that hangs
        go_on.set()
        await joins

    asyncio.run(story())
    assert calls == ["api.test"]


def test_after_a_lookup_has_ended_the_next_one_asks_anew() -> None:
    calls: list[str] = []

    async def story() -> None:
        resolver = SystemResolver(lambda host, port: calls.append(host))
        await resolver("api.test")
        await resolver("api.test")

    asyncio.run(story())
    assert calls == ["api.test", "api.test"]


def test_a_program_ends_while_a_lookup_still_hangs() -> None:
    go_on = threading.Event()

    assert not asyncio.run(
        any_resolves(["api.test"], SystemResolver(lambda host, port: go_on.wait(10)), seconds=0.001)
    )

    hanging = [thread for thread in threading.enumerate() if thread.name == "lookup of api.test"]
    go_on.set()
    for thread in hanging:
        thread.join(10)
    assert hanging
