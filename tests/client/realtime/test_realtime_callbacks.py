"""An app that is slow, fails, cancels or is killed while it is told: nothing is lost."""

import asyncio
import logging
import sqlite3

import pytest

from fieldgate_client import realtime_session
from fieldgate_client.errors import ApiError, NetworkError
from fieldgate_client.realtime import RealtimeState
from fieldgate_client.realtime_frames import Position
from fieldgate_client.realtime_position import Bookmark
from tests.client.realtime.conftest import REFETCH, App, Tell
from tests.client.realtime.hub import EPOCH, until


def test_killed_in_the_middle_it_is_heard_again_and_only_that(tell: Tell) -> None:
    async def story(app: App) -> None:
        began = asyncio.Event()

        async def never_done(what: str) -> None:
            if what == "2":
                began.set()
                await asyncio.Event().wait()

        app.doing = never_done
        async with app.live():
            for _ in range(3):
                await app.hub.happens()
            await began.wait()
        assert app.position == Position(EPOCH, 1)
        app.doing = None
        async with app.live():
            await app.has_heard(REFETCH, 1, 2, 2, 3)
        assert app.position == Position(EPOCH, 3)

    tell(story)


def test_killed_while_it_fetches_anew_it_fetches_anew(tell: Tell) -> None:
    async def story(app: App) -> None:
        async def never_done(what: str) -> None:
            await asyncio.Event().wait()

        app.doing = never_done
        async with app.listening():
            await until(lambda: app.heard)
        assert app.position is None
        app.doing = None
        async with app.live():
            assert app.heard == [REFETCH, REFETCH]

    tell(story)


@pytest.mark.parametrize("failure", [ValueError("a bug"), asyncio.CancelledError()])
def test_what_the_app_fails_at_is_told_again_on_the_next_connection(
    tell: Tell, failure: BaseException
) -> None:
    async def story(app: App) -> None:
        failing = [failure, failure]

        async def fail(what: str) -> None:
            if what == "2" and failing:
                raise failing.pop()

        app.doing = fail
        async with app.live():
            for _ in range(3):
                await app.hub.happens()
            await app.hands.sleep_out(1)
            await app.hands.sleep_out(2)
            await app.has_heard(REFETCH, 1, 2, 2, 2, 3)
        assert app.pauses == [1, 2]
        assert "the app" in app.statuses[3].reason
        assert len(app.hub.lines) == 3

    tell(story)


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (NetworkError("no connection"), "the app could not do its work now: no connection"),
        (
            ApiError(503, "UNAVAILABLE", "Try later."),
            "the app could not do its work now: 503 UNAVAILABLE: Try later.",
        ),
    ],
)
def test_an_app_that_cannot_fetch_what_changed_has_no_bug(
    tell: Tell, caplog: pytest.LogCaptureFixture, failure: Exception, words: str
) -> None:
    caplog.set_level(logging.INFO, logger="fieldgate_client")

    async def story(app: App) -> None:
        failing = [failure]

        async def fetch(what: str) -> None:
            if what == "1" and failing:
                raise failing.pop()

        app.doing = fetch
        async with app.live():
            await app.hub.happens()
            await app.hands.sleep_out(1)
            await app.has_heard(REFETCH, 1, 1)
        assert app.statuses[3].reason == words
        [line] = [each for each in caplog.records if each.name.endswith("delivery")]
        assert line.levelno == logging.INFO
        assert line.exc_info is None
        assert str(failure) in line.getMessage()

    tell(story)


@pytest.mark.parametrize("failure", [ValueError("a bug"), ApiError(403, "FORBIDDEN", "No.")])
def test_any_other_failure_of_an_app_is_logged_with_where_it_was(
    tell: Tell, caplog: pytest.LogCaptureFixture, failure: Exception
) -> None:
    async def story(app: App) -> None:
        async def fail(what: str) -> None:
            raise failure

        app.doing = fail
        async with app.listening():
            await until(lambda: app.pauses)
        assert app.statuses[-1].reason == f"the app failed: {type(failure).__name__}"
        assert "Traceback" in caplog.text
        assert "in fail" in caplog.text

    tell(story)


@pytest.mark.parametrize("made_of_it", [None, ValueError("a bug"), NetworkError("cut")])
@pytest.mark.parametrize("callback", ["on_update", "on_refetch", "on_state"])
def test_closing_ends_it_whatever_a_callback_makes_of_its_cancellation(
    tell: Tell, caplog: pytest.LogCaptureFixture, callback: str, made_of_it: Exception | None
) -> None:
    async def story(app: App) -> None:
        began = asyncio.Event()

        async def stubborn(*_: object) -> None:
            began.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if made_of_it is not None:
                    raise made_of_it from None

        async with app.listening(**{callback: stubborn}):
            await until(lambda: began.is_set() or RealtimeState.LIVE in app.states)
            await app.hub.happens()
            await began.wait()
        assert "Traceback" not in caplog.text

    tell(story)


def test_an_app_that_cancels_whoever_calls_it_has_not_dealt_with_it(tell: Tell) -> None:
    async def story(app: App) -> None:
        async def cancel(what: str) -> None:
            app.doing = None
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)

        app.doing = cancel
        async with app.listening():
            await app.hands.sleep_out(1)
            await app.is_live(1)
            assert app.heard == [REFETCH, REFETCH]

    tell(story)


@pytest.mark.parametrize("failure", [ValueError(), asyncio.CancelledError()])
def test_a_state_that_the_app_fails_at_is_nothing(tell: Tell, failure: BaseException) -> None:
    async def story(app: App) -> None:
        async def fail(*_: object) -> None:
            raise failure

        async with app.listening(on_state=fail):
            await app.has_heard(REFETCH)
            await app.hub.happens()
            await app.has_heard(REFETCH, 1)
        assert len(app.hub.lines) == 1

    tell(story)


def test_a_slow_app_does_not_cost_the_connection(tell: Tell) -> None:
    async def story(app: App) -> None:
        done = asyncio.Event()
        app.doing = lambda _: done.wait()
        async with app.listening() as realtime:
            await until(lambda: app.heard)
            for _ in range(20):
                await app.hands.sleep_out(15)
                await app.hub.happens()
                await realtime.subscribe("shipments")  # answered: all this has been read
            assert app.hub.line.actions.count("ping") == 20
            assert app.heard == [REFETCH]
            done.set()
            await app.has_heard(REFETCH, *range(1, 21))
        assert len(app.hub.lines) == 1

    tell(story)


def test_more_than_waits_for_a_slow_app_is_asked_for_again(
    tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(realtime_session, "MAX_WAITING", 10)

    async def story(app: App) -> None:
        may_go_on = asyncio.Event()

        async def slow(what: str) -> None:
            if what == "1":
                await may_go_on.wait()

        app.doing = slow
        app.hub.page = 7
        async with app.live():
            for _ in range(50):
                await app.hub.happens()
            await until(lambda: "1" in app.heard)
            may_go_on.set()
            await until(lambda: len(app.heard) == 51)
            await app.hub.happens()
            await app.has_heard(REFETCH, *range(1, 52))
        assert len(app.hub.lines) == 1
        assert app.hub.line.actions.count("resume") > 5

    tell(story)


def test_it_waits_for_what_it_tells_when_the_connection_ends_meanwhile(tell: Tell) -> None:
    async def story(app: App) -> None:
        done = asyncio.Event()

        async def slow(what: str) -> None:
            if what == "1":
                await done.wait()

        app.doing = slow
        async with app.live():
            await app.hub.happens()
            await until(lambda: "1" in app.heard)
            await app.hub.line.cut()
            await app.hub.happens()
            done.set()
            await app.hands.sleep_out(1)
            await app.has_heard(REFETCH, 1, 2)
            assert app.hub.line.asked[0]["offset"] == 1

    tell(story)


def test_a_disk_that_takes_nothing_holds_up_what_comes_and_loses_nothing(
    tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = Bookmark.move
    full = [True]

    def moved(self: Bookmark, position: Position) -> None:
        if position.offset == 1 and full:
            full.pop()
            raise sqlite3.OperationalError("database or disk is full")
        move(self, position)

    monkeypatch.setattr(Bookmark, "move", moved)

    async def story(app: App) -> None:
        async with app.live():
            await app.hub.happens()
            await app.hub.happens()
            await app.hands.sleep_out(1)
            await app.has_heard(REFETCH, 1, 1, 2)
        assert "disk is full" in app.statuses[3].reason

    tell(story)
