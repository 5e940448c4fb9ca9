"""Connections whose token has ended or is refused."""

import logging

import httpx
import pytest

from fieldgate_client.database import Database
from fieldgate_client.errors import SignedOut
from fieldgate_client.realtime import RealtimeState, Status
from fieldgate_client.tokens import TokenStore
from tests.client.fake_api import TOKENS, refusal, says
from tests.client.realtime.conftest import App, Tell
from tests.client.realtime.hub import until
from tests.client.realtime.tries import try_again


def test_where_the_token_has_ended_the_next_connection_has_a_new_one(tell: Tell) -> None:
    async def story(app: App) -> None:
        async with app.live():
            app.hub.tokens = {"access-2"}
            app.server.token = "access-2"
            await app.hub.line.say({"type": "close", "reason": "token_expired", "reconnect": True})
            await try_again(app, 1)
            await app.is_live(2)
        assert app.hub.shown == ["access-1", "access-2"]
        assert app.server.refreshes == 1

    tell(story)


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_is_refused_is_renewed_and_the_next_one_shown_at_once(
    tell: Tell, status: int
) -> None:
    async def story(app: App) -> None:
        app.hub.handshakes = [status]
        app.hub.tokens = {"access-2"}
        app.server.token = "access-2"
        async with app.live():
            pass
        assert app.hub.shown == ["access-1", "access-2"]
        assert app.pauses == []

    tell(story)


def test_a_new_token_that_is_refused_as_well_is_shown_again_while_the_session_is_good(
    tell: Tell,
) -> None:
    async def story(app: App) -> None:
        app.hub.tokens = set()
        app.server.token = "access-2"
        async with app.listening():
            await try_again(app, 1)
            await until(lambda: app.pauses == [1, 2])
            assert app.statuses[-1].reason == "refused at the handshake, though the session is good"
            app.hub.tokens = {"access-2"}
            await try_again(app, 2)
            await app.is_live(1)
        assert app.hub.shown == ["access-1", *["access-2"] * 4]
        assert app.server.asked == [("GET", "/auth/me", None)] * 2

    tell(story)


def test_a_new_token_that_the_api_refuses_as_well_ends_it(tell: Tell) -> None:
    async def story(app: App) -> None:
        app.hub.tokens = set()
        app.server.token = "access-2"
        app.server.faults = [says(401, "UNAUTHORIZED")] * 2
        async with app.listening() as realtime:
            with pytest.raises(SignedOut, match="that it has just given"):
                await realtime.ended()
            assert app.statuses[-1] == Status(
                RealtimeState.SIGNED_OUT, "The server refuses a token that it has just given."
            )
            assert app.hub.shown == ["access-1", "access-2"]

    tell(story)


def test_a_session_that_ends_while_its_new_token_is_refused_ends_it(tell: Tell) -> None:
    async def story(app: App) -> None:
        def end(_: httpx.Request, __: object) -> httpx.Response:
            app.server.session_ended = True
            return refusal(401, "UNAUTHORIZED")

        app.hub.tokens = set()
        app.server.faults = [end]
        async with app.listening() as realtime:
            with pytest.raises(SignedOut, match="The session has ended"):
                await realtime.ended()

    tell(story)


def test_where_nobody_can_say_whether_the_session_is_good_it_is_asked_later(tell: Tell) -> None:
    async def story(app: App) -> None:
        app.hub.handshakes = [403, 403]
        app.server.faults = [says(503, "UNAVAILABLE", Retry_After="90")]
        async with app.listening():
            await until(lambda: app.pauses)
            assert app.pauses == [60]
            assert "503 UNAVAILABLE" in app.statuses[-1].reason
            await try_again(app, 60)
            await app.is_live(1)

    tell(story)


def test_a_session_that_has_ended_ends_it_and_who_does_not_ask_is_told_all_the_same(
    tell: Tell, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def story(app: App) -> None:
        async with app.live():
            app.hub.tokens = set()
            app.server.session_ended = True
            await app.hub.line.say({"type": "close", "reason": "session_ended", "reconnect": True})
            await app.hands.sleep_out(1)
            await until(lambda: app.states[-1] is RealtimeState.SIGNED_OUT)
        assert "The session has ended." in caplog.text
        with Database(app.home / "client.db") as database:
            assert TokenStore(database).load(app.hub.url) is None

    tell(story)


def test_where_nobody_is_signed_in_nobody_is_asked(tell: Tell) -> None:
    async def story(app: App) -> None:
        async with app.live() as realtime:
            with Database(app.home / "client.db") as database:
                TokenStore(database).forget(app.hub.url, TOKENS.refresh_token)
            await app.hub.line.cut()
            await app.hands.sleep_out(1)
            with pytest.raises(SignedOut, match="Nobody is signed in"):
                await realtime.ended()
        assert len(app.hub.shown) == 1

    tell(story)


def test_a_token_that_cannot_be_renewed_now_is_renewed_later(tell: Tell) -> None:
    async def story(app: App) -> None:
        app.hub.tokens = {"access-2"}
        renew = app.server._refresh
        answers = [refusal(503, "UNAVAILABLE", {"Retry-After": "40"})]
        app.server._refresh = lambda: answers.pop() if answers else renew()  # type: ignore[method-assign]
        app.server.token = "access-2"
        async with app.listening():
            await try_again(app, 40)
            await app.is_live(1)
        assert app.hub.shown == ["access-1", "access-1", "access-2"]

    tell(story)
