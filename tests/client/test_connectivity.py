"""The state of the network: one check at a time, changes told, asked again while it is lost."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from fieldgate_client.addresses import is_loopback, is_open_to_all
from fieldgate_client.captive_portal import Reach
from fieldgate_client.connectivity import (
    FALLBACK_HOSTS,
    FALLBACK_PROBES,
    RECHECK_SECONDS,
    UNKNOWN,
    Connectivity,
    Probes,
    State,
    network_towards,
)
from fieldgate_client.network import NetworkType
from tests.client.portal import Answers, portal

URL = "http://api.test/generate_204"
ONLINE = State(Reach.ONLINE, NetworkType.WIFI)
CAPTIVE = State(Reach.CAPTIVE, NetworkType.WIFI)
OFFLINE = State(Reach.OFFLINE, NetworkType.WIFI)


class Timer:
    """A sleep that ends when the test says so."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.cancelled = 0
        self._began = asyncio.Event()
        self._ring = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self._began.set()
        try:
            await self._ring.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        self._ring.clear()

    async def began(self) -> None:
        """Return when somebody waits, or has waited since this was asked before."""
        await self._began.wait()
        self._began.clear()

    def ring(self) -> None:
        self._ring.set()


@dataclass
class World:
    """A network whose every part a test can change, and the connectivity found in it."""

    network: NetworkType = NetworkType.WIFI
    answers: Answers = field(default_factory=lambda: Answers({URL: 204}))
    lookups: list[str] = field(default_factory=list)
    cancelled: int = 0
    timer: Timer = field(default_factory=Timer)
    looked_up: asyncio.Event = field(default_factory=asyncio.Event)
    names_answer: asyncio.Event = field(default_factory=asyncio.Event)
    names_fail: bool = False

    def __post_init__(self) -> None:
        self.names_answer.set()
        self.connectivity = Connectivity(
            Probes(("api.test",), (URL,)),
            network=lambda: self.network,
            resolver=self.resolve,
            transport=self.answers,
            sleep=self.timer,
        )
        self.told: list[State] = []
        self.connectivity.listen(self.told.append)

    async def resolve(self, host: str) -> None:
        self.lookups.append(host)
        self.looked_up.set()
        try:
            await self.names_answer.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.names_fail:
            raise socket.gaierror("no such name")

    def probe_answers(self, status: int) -> None:
        self.answers.answers[URL] = status


def in_a_world(story: Callable[[World], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(10):
            await story(World())
        assert asyncio.all_tasks() == {asyncio.current_task()}, "something was left running"

    asyncio.run(run())


def test_it_is_offline_until_a_check_has_said_otherwise() -> None:
    async def story(world: World) -> None:
        assert world.connectivity.state == UNKNOWN == State(Reach.OFFLINE, NetworkType.NONE)
        assert await world.connectivity.check() == world.connectivity.state == ONLINE

    in_a_world(story)


def test_without_an_interface_nothing_is_looked_up_or_probed() -> None:
    async def story(world: World) -> None:
        world.network = NetworkType.NONE
        assert (await world.connectivity.check()).reach is Reach.OFFLINE
        assert (world.lookups, world.answers.asked) == ([], [])

    in_a_world(story)


def test_where_no_name_resolves_nothing_is_probed() -> None:
    async def story(world: World) -> None:
        world.names_fail = True
        assert await world.connectivity.check() == OFFLINE
        assert world.answers.asked == []

    in_a_world(story)


def test_a_name_that_resolves_proves_nothing_without_the_probe() -> None:
    async def story(world: World) -> None:
        world.probe_answers(200)
        assert await world.connectivity.check() == CAPTIVE
        world.probe_answers(503)
        assert await world.connectivity.check() == OFFLINE

    in_a_world(story)


def test_the_state_tells_the_kind_of_network() -> None:
    async def story(world: World) -> None:
        world.network = NetworkType.CELLULAR
        assert await world.connectivity.check() == State(Reach.ONLINE, NetworkType.CELLULAR)

    in_a_world(story)


def test_checks_do_not_overlap_and_the_second_caller_gets_the_firsts_result() -> None:
    async def story(world: World) -> None:
        world.names_answer.clear()
        checks = [asyncio.create_task(world.connectivity.check()) for _ in range(5)]
        await world.looked_up.wait()
        world.names_answer.set()
        assert await asyncio.gather(*checks) == [ONLINE] * 5
        assert world.lookups == ["api.test"]
        assert len(world.answers.asked) == 1

    in_a_world(story)


def test_a_caller_that_gives_up_does_not_end_the_check_of_the_others() -> None:
    async def story(world: World) -> None:
        world.names_answer.clear()
        impatient = asyncio.create_task(world.connectivity.check())
        patient = asyncio.create_task(world.connectivity.check())
        await world.looked_up.wait()
        impatient.cancel()
        await asyncio.wait((impatient,))
        assert impatient.cancelled()
        world.names_answer.set()
        assert await patient == ONLINE
        assert world.cancelled == 0

    in_a_world(story)


def test_another_network_cancels_the_check_of_the_old_one_and_all_get_the_new_result() -> None:
    async def story(world: World) -> None:
        world.names_answer.clear()
        early = asyncio.create_task(world.connectivity.check())
        await world.looked_up.wait()
        world.network = NetworkType.CELLULAR
        world.looked_up.clear()
        changed = asyncio.create_task(world.connectivity.network_changed())
        await world.looked_up.wait()
        assert (world.cancelled, len(world.lookups)) == (1, 2)
        world.names_answer.set()
        assert await early == await changed == State(Reach.ONLINE, NetworkType.CELLULAR)
        assert world.told == [State(Reach.ONLINE, NetworkType.CELLULAR)]

    in_a_world(story)


def test_the_new_check_begins_when_the_old_one_has_ended() -> None:
    async def story() -> None:
        began = asyncio.Event()
        may_end = asyncio.Event()
        lookups: list[str] = []

        async def slow_to_end(host: str) -> None:
            lookups.append("begun")
            began.set()
            if len(lookups) > 1:
                return
            try:
                await asyncio.Event().wait()
            finally:
                await may_end.wait()
                lookups.append("ended")

        connectivity = Connectivity(
            Probes(("api.test",), (URL,)),
            network=lambda: NetworkType.WIFI,
            resolver=slow_to_end,
            transport=Answers({URL: 204}),
        )
        first = asyncio.create_task(connectivity.check())
        await began.wait()
        second = asyncio.create_task(connectivity.network_changed())
        for _ in range(20):
            await asyncio.sleep(0)
        assert lookups == ["begun"]
        may_end.set()
        assert await first == await second == ONLINE
        assert lookups == ["begun", "ended", "begun"]

    asyncio.run(asyncio.wait_for(story(), 10))


def test_a_network_that_flaps_ends_in_one_check_of_the_last() -> None:
    async def story(world: World) -> None:
        world.names_answer.clear()
        changes = []
        for _ in range(10):
            world.looked_up.clear()
            changes.append(asyncio.create_task(world.connectivity.network_changed()))
            await world.looked_up.wait()
        assert world.cancelled == 9
        world.names_answer.set()
        assert await asyncio.gather(*changes) == [ONLINE] * 10

    in_a_world(story)


def test_listeners_are_told_of_changes_only() -> None:
    async def story(world: World) -> None:
        for status in (204, 204, 302, 302, 204):
            world.probe_answers(status)
            await world.connectivity.check()
        assert world.told == [ONLINE, CAPTIVE, ONLINE]

    in_a_world(story)


def test_another_kind_of_network_is_a_change() -> None:
    async def story(world: World) -> None:
        await world.connectivity.check()
        world.network = NetworkType.CELLULAR
        await world.connectivity.check()
        assert [state.network for state in world.told] == [NetworkType.WIFI, NetworkType.CELLULAR]

    in_a_world(story)


def test_a_listener_that_raises_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    async def story(world: World) -> None:
        def raises(state: State) -> None:
            raise RuntimeError("a bug of the app's")

        told: list[State] = []
        world.connectivity.listen(raises)
        world.connectivity.listen(told.append)
        assert await world.connectivity.check() == ONLINE
        assert told == [ONLINE]

    with caplog.at_level(logging.ERROR):
        in_a_world(story)
    assert "a bug of the app's" in caplog.text


def test_who_unsubscribes_is_told_no_more_even_while_others_are_told() -> None:
    async def story(world: World) -> None:
        told: list[State] = []
        unsubscribe = world.connectivity.listen(told.append)

        def once(state: State) -> None:
            told.append(state)
            end()

        end = world.connectivity.listen(once)
        await world.connectivity.check()
        unsubscribe()
        unsubscribe()  # twice does no harm
        world.probe_answers(302)
        await world.connectivity.check()
        assert told == [ONLINE, ONLINE]

    in_a_world(story)


def test_while_it_is_not_online_it_checks_again_every_60_seconds() -> None:
    async def story(world: World) -> None:
        world.probe_answers(302)
        async with world.connectivity:
            for checks in (1, 2, 3):
                await world.timer.began()
                # A portal's answer takes two requests: HEAD, and GET to be sure.
                assert len(world.answers.asked) == 2 * checks
                world.timer.ring()
            await world.timer.began()
            world.probe_answers(204)
            world.timer.ring()
            await world.connectivity.wait_online()
        assert world.timer.pauses == [RECHECK_SECONDS] * 4 == [60] * 4
        assert world.told == [CAPTIVE, ONLINE]

    in_a_world(story)


def test_the_timer_is_cancelled_when_another_check_finds_the_network() -> None:
    async def story(world: World) -> None:
        world.names_fail = True
        async with world.connectivity as connectivity:
            await world.timer.began()
            world.names_fail = False
            assert await connectivity.check() == ONLINE
            await connectivity.wait_online()
            await asyncio.sleep(0)
            assert world.timer.cancelled == 1

    in_a_world(story)


def test_the_timer_starts_when_the_network_is_lost_and_not_twice() -> None:
    async def story(world: World) -> None:
        async with world.connectivity as connectivity:
            await connectivity.wait_online()
            assert world.timer.pauses == []
            world.names_fail = True
            await connectivity.check()
            await world.timer.began()
            await connectivity.check()
            await connectivity.check()
            assert world.timer.pauses == [RECHECK_SECONDS]
            world.names_fail = False
            world.timer.ring()
            await connectivity.wait_online()

    in_a_world(story)


def test_outside_of_the_block_nothing_is_repeated() -> None:
    async def story(world: World) -> None:
        world.names_fail = True
        async with world.connectivity as connectivity:
            await world.timer.began()
        assert world.timer.cancelled == 1
        await connectivity.check()
        assert world.timer.pauses == [RECHECK_SECONDS]

    in_a_world(story)


def test_leaving_the_block_ends_a_check_that_runs() -> None:
    async def story(world: World) -> None:
        world.names_answer.clear()
        async with world.connectivity:
            await world.looked_up.wait()
        assert world.cancelled == 1

    in_a_world(story)


def test_a_server_asks_its_own_name_and_probe_first_then_the_public_ones() -> None:
    probes = Probes.of("https://api.example.org:8443/")

    assert probes.hosts == ("api.example.org", *FALLBACK_HOSTS)
    assert probes.urls == ("https://api.example.org:8443/generate_204", *FALLBACK_PROBES)
    assert FALLBACK_HOSTS == ("google.com", "cloudflare.com")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.8.8.8"])
def test_for_a_server_on_this_machine_nobody_else_is_asked(host: str) -> None:
    probes = Probes.of(f"http://{host}:8080")

    assert probes.hosts == (host.strip("[]"),)
    assert probes.urls == (f"http://{host}:8080/generate_204",)
    assert network_towards(f"http://{host}:8080") is NetworkType.WIFI


@pytest.mark.parametrize("host", ["localhost.example.org", "128.0.0.1", "::2", "example.org", ""])
def test_what_is_not_this_machine(host: str) -> None:
    assert not is_loopback(host)


def test_what_everybody_on_the_way_can_read() -> None:
    assert is_open_to_all("http://192.0.2.1/x")
    assert is_open_to_all("HTTP://storage.example.org")
    assert not is_open_to_all("http://[::1]:9000/x")
    assert not is_open_to_all("http://localhost/x")
    assert not is_open_to_all("https://storage.example.org")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_real_resolver_and_probe_find_a_server_on_this_machine(host: str) -> None:
    async def story() -> None:
        async with portal(host=host) as server:
            probes = Probes.of(server.url)
            async with Connectivity(probes, network=lambda: network_towards(server.url)) as here:
                await here.wait_online()
                assert here.state == ONLINE
            assert server.asked == ["HEAD /generate_204"]

    asyncio.run(asyncio.wait_for(story(), 10))
