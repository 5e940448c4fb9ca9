"""When a connection is made, kept, given up and made anew."""

import asyncio
from collections.abc import Awaitable

import pytest

from fieldgate_client import realtime
from fieldgate_client.errors import NetworkError, RealtimeEnded
from fieldgate_client.realtime import RealtimeState
from fieldgate_client.realtime_handshake import open_socket
from fieldgate_client.realtime_timing import Timing, full_jitter
from tests.client.realtime.conftest import REFETCH, App, Tell
from tests.client.realtime.hub import until
from tests.client.realtime.tries import try_again

SCHEDULE = [1, 2, 4, 8, 16, 30, 30, 30]


def test_a_server_that_is_away_is_tried_after_1_2_4_8_16_and_then_each_30_seconds(
    tell: Tell,
) -> None:
    async def story(app: App) -> None:
        await app.hub.stop()
        async with app.listening():
            await try_again(app, *SCHEDULE)
            await until(lambda: len(app.pauses) == 9)
            assert app.pauses == [*SCHEDULE, 30]
            assert {each.reason for each in app.statuses if each.retry_in} == {"no connection"}
            await app.hub.start()
            await try_again(app, 30)
            await app.is_live(1)

    tell(story)


def test_a_delay_is_a_random_part_of_itself() -> None:
    delays = [full_jitter(16) for _ in range(1000)]

    assert min(delays) < 2
    assert 7 < sum(delays) / len(delays) < 9
    assert 14 < max(delays) <= 16
    assert realtime.RECONNECT.longest(10**9) == 30


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", "the connection was cut"),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", "the server speaks no WebSocket there"),
        ("220 smtp.example.org\r\n", "the connection was cut"),
        (f"HTTP/1.1 101 Yes\r\nA: {'b' * 100_000}\r\n\r\n", "the connection was cut"),
    ],
)
def test_who_speaks_something_else_is_tried_again(tell: Tell, answer: str, reason: str) -> None:
    async def say(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer.encode())
        writer.close()

    async def story(app: App) -> None:
        await app.hub.stop()
        other = await asyncio.start_server(say, "127.0.0.1", app.hub.port)
        async with other, app.listening():
            await until(lambda: app.pauses)
        assert app.statuses[-1].reason.startswith(reason)

    tell(story)


@pytest.mark.parametrize("status", [404, 429, 500, 503, 302, 200])
def test_a_handshake_that_is_not_let_in_for_another_reason_is_tried_again(
    tell: Tell, status: int
) -> None:
    async def story(app: App) -> None:
        app.hub.handshakes = [status, status]
        async with app.listening():
            await try_again(app, 1, 2)
            await app.is_live(1)
        assert app.server.refreshes == 0
        assert app.statuses[1].reason == f"the server answers {status}"

    tell(story)


def test_a_connection_that_flaps_is_tried_less_and_less(tell: Tell) -> None:
    async def story(app: App) -> None:
        async with app.listening():
            for number, pause in enumerate(SCHEDULE, start=1):
                await app.is_live(number)
                app.hands.pass_by(14)
                await app.hub.line.cut()
                await try_again(app, pause)
        assert app.pauses == SCHEDULE
        assert app.heard == [REFETCH]

    tell(story)


def test_after_one_that_was_good_for_half_a_minute_the_delays_begin_anew(tell: Tell) -> None:
    async def story(app: App) -> None:
        async with app.listening() as realtime:
            for number, pause in enumerate([1, 2, 4, 1, 2], start=1):
                await app.is_live(number)
                if number == 4:
                    for _ in range(2):
                        await app.hands.sleep_out(15)
                        await realtime.subscribe("shipments")
                await app.hub.line.cut()
                await try_again(app, pause)
        assert app.pauses == [1, 2, 4, 1, 2]

    tell(story)


def test_it_pings_every_15_seconds_and_stays_for_as_long_as_it_is_answered(tell: Tell) -> None:
    async def story(app: App) -> None:
        async with app.live() as realtime:
            for _ in range(240):  # an hour
                await app.hands.sleep_out(15)
                await realtime.unsubscribe("shipments")
            assert app.hub.line.actions.count("ping") == 240
            assert {"action": "ping"} in app.hub.line.asked
        assert len(app.hub.lines) == 1

    tell(story)


def test_a_server_that_is_silent_for_30_seconds_is_not_there(tell: Tell) -> None:
    async def story(app: App) -> None:
        async with app.live():
            app.hub.silent = True
            await app.hands.sleep_out(15)
            await until(lambda: app.hub.line.actions[-1] == "ping")
            app.hands.pass_by(14.5)
            await app.hub.line.say({"type": "unheard of"})  # any sign of life will do
            await app.hub.happens()
            await app.has_heard(REFETCH, 1)
            app.hands.pass_by(14.5)
            await until(lambda: app.hub.line.actions.count("ping") == 2)
            assert app.states[-1] is RealtimeState.LIVE
            app.hands.pass_by(15.4)
            await asyncio.sleep(0)
            assert app.states[-1] is RealtimeState.LIVE
            app.hands.pass_by(0.1)
            await until(lambda: app.pauses)
            assert app.statuses[-1].reason == "nothing was heard for 30 seconds"
            app.hub.silent = False
            await try_again(app, 1)  # it was good for longer than that
            await app.is_live(2)

    tell(story)


def test_a_handshake_that_is_not_answered_is_given_up_after_30_seconds(tell: Tell) -> None:
    async def story(app: App) -> None:
        await app.hub.stop()
        came = asyncio.Event()

        async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            came.set()
            await came_to_an_end.wait()
            writer.close()

        came_to_an_end = asyncio.Event()
        async with await asyncio.start_server(say_nothing, "127.0.0.1", app.hub.port):
            async with app.listening():
                await came.wait()
                await app.hands.sleep_out(30)
                await until(lambda: app.pauses == [1])
                assert app.statuses[-1].reason == "no answer in time"
            came_to_an_end.set()

    tell(story)


def test_a_question_that_is_not_answered_ends_the_connection_after_30_seconds(tell: Tell) -> None:
    async def story(app: App) -> None:
        app.hub.answers["resume"] = [lambda *_: None]
        async with app.listening() as realtime:
            await until(lambda: not app.hub.answers["resume"])
            await app.hands.sleep_out(15)
            await realtime.subscribe("one")  # all others are
            app.hands.pass_by(14)
            await realtime.subscribe("two")
            assert app.pauses == []
            app.hands.pass_by(1)
            await until(lambda: app.pauses)
            assert app.statuses[-1].reason == "a question was not answered in 30 seconds"
            await try_again(app, 1)
            await app.is_live(1)

    tell(story)


def test_a_server_that_closes_is_come_back_to(tell: Tell) -> None:
    async def story(app: App) -> None:
        async with app.live():
            await app.hub.line.say({"type": "close", "reason": "unavailable", "reconnect": True})
            await app.hub.happens()
            await try_again(app, 1)
            await app.has_heard(REFETCH, 1)
        assert "unavailable" in app.statuses[3].reason
        assert app.hub.shown == ["access-1", "access-1"]

    tell(story)


def test_one_that_closes_for_good_is_left_alone(tell: Tell) -> None:
    async def story(app: App) -> None:
        async with app.live() as realtime:
            await app.hub.line.say({"type": "close", "reason": "another_dialect"})
            with pytest.raises(RealtimeEnded, match="another_dialect"):
                await realtime.ended()
            assert app.states[-1] is RealtimeState.ENDED
        assert len(app.hub.lines) == 1
        assert app.pauses == []

    tell(story)


def test_what_comes_after_silence_was_given_up_on_comes_with_the_next_connection(
    tell: Tell,
) -> None:
    async def story(app: App) -> None:
        done = asyncio.Event()

        async def slow(what: str) -> None:
            if what == "1":
                await done.wait()

        app.doing = slow
        async with app.live():
            await app.hub.happens()
            await until(lambda: app.heard == [REFETCH, "1"])
            app.hands.pass_by(30)
            await until(lambda: len([each for each in app.hands.sleeps if each >= 15]) == 1)
            await app.hub.happens()
            done.set()
            await app.hands.sleep_out(1)
            await app.has_heard(REFETCH, 1, 2)
        assert len(app.hub.lines) == 2

    tell(story)


def test_it_ends_at_once_whatever_it_is_doing(tell: Tell) -> None:
    async def story(app: App) -> None:
        async with app.listening():
            pass  # before it began
        async with app.listening():
            await until(lambda: app.hub.shown)  # in the handshake
        app.hub.answers["resume"] = [lambda *_: None]
        async with app.listening():
            await until(lambda: not app.hub.answers["resume"])  # with a question that is open
        async with app.live():
            pass
        await app.hub.stop()
        async with app.listening():
            await until(lambda: app.pauses)  # in a pause
        assert app.hands.sleeps == []

    tell(story)


def test_a_handshake_that_ends_in_the_moment_it_is_given_up_leaves_no_connection(
    tell: Tell,
) -> None:
    class Late(Timing):
        async def within[T](self, seconds: float, work: Awaitable[T]) -> T:
            await work
            raise TimeoutError

    async def story(app: App) -> None:
        with pytest.raises(NetworkError, match="no answer in time"):
            await open_socket(app.hub.url, "access-1", Late())
        await until(lambda: app.hub.lines)
        await app.hub.line.socket.wait_closed()

    tell(story)


def test_an_error_that_nobody_thought_of_is_not_the_end(
    tell: Tell, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        monkeypatch.undo()
        raise ZeroDivisionError("what nobody thought of")

    monkeypatch.setattr(realtime, "Bookmark", fail)

    async def story(app: App) -> None:
        async with app.listening():
            await try_again(app, 1)
            await app.is_live(1)
        assert app.statuses[1].reason == "what nobody thought of"
        assert "Traceback" in caplog.text

    tell(story)
