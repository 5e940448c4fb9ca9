"""What an app follows: kept over connections, changed on them, refused by name."""

import asyncio

import pytest

from fieldgate_client.errors import RealtimeRefused
from fieldgate_client.realtime import RealtimeState
from tests.client.realtime.conftest import REFETCH, App, Tell
from tests.client.realtime.hub import Message, ServerEnd, refusal, until


def test_channels_are_subscribed_to_before_what_was_missed_is_asked_for(tell: Tell) -> None:
    async def story(app: App) -> None:
        async with app.live(channels=["shipments", "lots:7"]):
            await app.hub.happens("lots:8")
            await app.hub.happens("lots:7")
            await app.has_heard(REFETCH, 2)
        app.hub.happened("shipments")
        async with app.live(channels=["shipments"]):
            await app.has_heard(REFETCH, 2, 3)
        assert app.hub.lines[0].asked[0]["channels"] == ["lots:7", "shipments"]
        assert app.hub.line.actions == ["subscribe", "resume"]

    tell(story)


def test_what_is_followed_and_left_meanwhile_is_so_on_the_next_connection(tell: Tell) -> None:
    async def story(app: App) -> None:
        async with app.live(channels=["one"]) as realtime:
            await realtime.subscribe("two", "three")
            assert app.hub.line.channels == {"one", "two", "three"}
            await app.hub.happens("two")
            await app.has_heard(REFETCH, 1)
            await realtime.unsubscribe("one", "two")
            assert app.hub.line.channels == {"three"}
            await app.hub.line.cut()
            await app.hands.sleep_out(1)
            await app.is_live(2)
            assert app.hub.line.channels == realtime.channels == {"three"}

    tell(story)


def test_without_a_connection_they_are_kept_for_it(tell: Tell) -> None:
    async def story(app: App) -> None:
        await app.hub.stop()
        async with app.listening(channels=["one"]) as realtime:
            await until(lambda: app.pauses)
            await realtime.subscribe("two")
            await realtime.unsubscribe("one")
            await app.hub.start()
            await app.hands.sleep_out(1)
            await app.is_live(1)
            assert app.hub.line.channels == {"two"}

    tell(story)


def test_a_channel_that_is_refused_is_said_to_be_and_nothing_else_changes(tell: Tell) -> None:
    async def story(app: App) -> None:
        app.hub.forbidden = {"users"}
        async with app.live(channels=["one"]) as realtime:
            with pytest.raises(RealtimeRefused, match="FORBIDDEN: users is not for you"):
                await realtime.subscribe("one", "users")
            assert realtime.channels == {"one"}
            app.hub.answers["unsubscribe"] = [lambda *_: refusal("UNAVAILABLE")]
            with pytest.raises(RealtimeRefused, match="UNAVAILABLE"):
                await realtime.unsubscribe("one")
            await app.hub.happens("one")
            await app.has_heard(REFETCH, 1)
            assert realtime.channels == frozenset()
            assert len(app.hub.lines) == 1

    tell(story)


def test_of_many_those_that_are_refused_are_found_told_and_left_out(tell: Tell) -> None:
    names = [f"lots:{number}" for number in range(100)]

    async def story(app: App) -> None:
        app.hub.forbidden = {"lots:13", "lots:57"}
        async with app.live(channels=names) as realtime:
            assert sorted(app.refused) == [("lots:13", "FORBIDDEN"), ("lots:57", "FORBIDDEN")]
            assert app.hub.line.channels == set(names) - app.hub.forbidden == realtime.channels
            # A connection may ask 60 things at once.
            assert app.hub.line.actions.count("subscribe") < 30
            await app.hub.line.cut()
            await app.hands.sleep_out(1)
            await app.is_live(2)
            assert app.hub.line.actions == ["subscribe", "resume"]
        assert len(app.refused) == 2

    tell(story)


def test_who_fails_at_hearing_of_a_refusal_goes_on(tell: Tell) -> None:
    async def story(app: App) -> None:
        async def fail(*_: object) -> None:
            raise ValueError

        app.hub.forbidden = {"users"}
        async with app.live(channels=["users"], on_refused=fail) as realtime:
            assert realtime.channels == frozenset()

    tell(story)


def test_a_server_that_cannot_subscribe_now_is_asked_on_the_next_connection(tell: Tell) -> None:
    async def story(app: App) -> None:
        app.hub.answers["subscribe"] = [lambda *_: refusal("UNAVAILABLE")]
        async with app.listening(channels=["one", "two"]):
            await app.hands.sleep_out(1)
            await app.is_live(1)
            assert app.hub.line.channels == {"one", "two"}
        assert app.refused == []

    tell(story)


def test_an_answer_that_gets_lost_with_the_connection_is_asked_for_on_the_next(tell: Tell) -> None:
    async def story(app: App) -> None:
        async with app.live() as realtime:

            def break_off(line: ServerEnd, asked: Message) -> None:
                line.socket.transport.abort()

            app.hub.answers["subscribe"] = [break_off]
            await realtime.subscribe("one")
            await app.hands.sleep_out(1)
            await app.is_live(2)
            assert app.hub.line.channels == {"one"}
            app.hub.answers["unsubscribe"] = [break_off]
            await realtime.unsubscribe("one")
            await app.hands.sleep_out(2)
            await app.is_live(3)
            assert app.hub.line.channels == set()

    tell(story)


def test_an_answer_that_never_comes_ends_the_connection_and_the_next_has_the_channel(
    tell: Tell,
) -> None:
    async def story(app: App) -> None:
        async with app.live() as realtime, asyncio.TaskGroup() as tasks:
            app.hub.answers["subscribe"] = [lambda *_: None]
            asking = tasks.create_task(realtime.subscribe("one"))
            await until(lambda: not app.hub.answers["subscribe"])
            app.hands.pass_by(29)
            await app.hub.happens()
            await app.has_heard(REFETCH, 1)
            assert not asking.done()
            app.hands.pass_by(1)
            await asking
            await app.hands.sleep_out(1)
            await app.is_live(2)
            assert app.hub.line.channels == {"one"}

    tell(story)


@pytest.mark.parametrize("action", ["subscribe", "unsubscribe"])
def test_an_answer_to_something_else_is_none(tell: Tell, action: str) -> None:
    async def story(app: App) -> None:
        async with app.live(channels=["one"]) as realtime:
            app.hub.answers[action] = [app.hub.resumed_from_the_start]
            await realtime.subscribe("two")
            await realtime.unsubscribe("one")
            await app.hands.sleep_out(1)
            await app.is_live(2)
            assert app.hub.line.channels == {"two"}

    tell(story)


def test_who_waits_for_another_when_the_connection_ends_is_not_left_waiting(tell: Tell) -> None:
    async def story(app: App) -> None:
        async with app.live() as realtime, asyncio.TaskGroup() as tasks:
            app.hub.answers["subscribe"] = [lambda *_: None]
            for channel in ("one", "two"):
                tasks.create_task(realtime.subscribe(channel))
            await until(lambda: not app.hub.answers["subscribe"])
            await app.hub.line.cut()
            await app.hands.sleep_out(1)
            await app.is_live(2)
            assert app.hub.line.channels == {"one", "two"}

    tell(story)


def test_what_is_asked_from_within_a_callback_is_answered(tell: Tell) -> None:
    async def story(app: App) -> None:
        async with app.listening() as realtime:
            app.doing = lambda _: realtime.subscribe("one")
            await app.is_live(1)
            assert app.hub.line.channels == {"one"}
            assert app.states[-1] is RealtimeState.LIVE

    tell(story)


def test_nothing_is_asked_for_no_channel(tell: Tell) -> None:
    async def story(app: App) -> None:
        async with app.live() as realtime:
            await realtime.subscribe()
            await realtime.unsubscribe()
        assert app.hub.line.actions == ["resume"]

    tell(story)
