"""The state of the network: one check at a time, and what is asked in it."""

import asyncio

import pytest

from fieldgate_client.addresses import is_loopback, is_open_to_all
from fieldgate_client.captive_portal import Reach
from fieldgate_client.connectivity import (
    FALLBACK_HOSTS,
    FALLBACK_PROBES,
    UNKNOWN,
    Connectivity,
    Probes,
    State,
    network_towards,
)
from fieldgate_client.network import NetworkType
from tests.client.portal import Answers, portal
from tests.client.world import CAPTIVE, OFFLINE, ONLINE, URL, World, in_a_world


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
