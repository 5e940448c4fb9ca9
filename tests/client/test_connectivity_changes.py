"""Changes of the network are told; while it is lost it is looked for again."""

import asyncio
import logging

import pytest

from fieldgate_client.connectivity import (
    RECHECK_SECONDS,
    State,
)
from fieldgate_client.network import NetworkType
from tests.client.world import CAPTIVE, ONLINE, World, in_a_world


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
