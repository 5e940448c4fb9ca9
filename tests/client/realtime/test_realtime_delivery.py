"""What an app is told: everything, in order, once, wherever the connection or the app ends."""

import asyncio

import pytest

from fieldgate_client.database import Database
from fieldgate_client.realtime import RealtimeState
from fieldgate_client.realtime_frames import Position
from tests.client.realtime.conftest import REFETCH, App, Tell
from tests.client.realtime.hub import EPOCH, Message, ServerEnd, refusal, until


def test_the_first_time_everything_is_to_be_fetched_and_then_what_comes_is_told(tell: Tell) -> None:
    async def story(app: App) -> None:
        app.hub.happened()
        app.hub.happened()
        async with app.live():
            assert app.heard == [REFETCH]
            assert app.position == Position(EPOCH, 2)
            await app.hub.happens("own:7", "deleted")
            await app.has_heard(REFETCH, 3)
            await until(lambda: app.position == Position(EPOCH, 3))
        [update] = app.updates
        assert (update.channel, update.event) == ("own:7", "deleted")
        assert (update.entity_type, update.entity_id, update.action) == ("own", "7", "deleted")
        assert update.at.isoformat() == "2026-01-10T10:00:00+00:00"
        assert app.hub.line.asked[0] == {"action": "resume", "offset": 0, "id": "1"}
        assert app.states == [
            RealtimeState.CONNECTING,
            RealtimeState.CATCHING_UP,
            RealtimeState.LIVE,
        ]

    tell(story)


def test_what_was_missed_is_told_and_the_app_does_not_fetch_anew(tell: Tell) -> None:
    async def story(app: App) -> None:
        async with app.live():
            await app.hub.happens()
            await app.has_heard(REFETCH, 1)
        for _ in range(3):
            app.hub.happened()
        async with app.live():
            await app.has_heard(REFETCH, 1, 2, 3, 4)
        assert app.hub.line.asked[0] == {
            "action": "resume",
            "epoch": EPOCH,
            "offset": 1,
            "id": "1",
        }

    tell(story)


def test_what_was_missed_comes_in_pages_and_what_comes_meanwhile_after_it(tell: Tell) -> None:
    async def story(app: App) -> None:
        async with app.live():
            pass
        app.hub.page = 2
        for _ in range(5):
            app.hub.happened()

        def page_and_news(line: ServerEnd, asked: Message) -> Message:
            answer = app.hub.resumed(line, asked)
            # Faster than the answer, and some of it is in one of the next pages as well.
            news.append(asyncio.ensure_future(app.hub.happens()))
            return answer

        news: list[asyncio.Future[None]] = []
        app.hub.answers["resume"] = [page_and_news, page_and_news]
        async with app.live():
            await app.hub.happens()
            await app.has_heard(REFETCH, *range(1, 9))
        assert [asked["offset"] for asked in app.hub.line.asked] == [0, 2, 4, 6]
        assert app.position == Position(EPOCH, 8)

    tell(story)


def test_what_is_told_twice_is_heard_once_and_gaps_are_nothing(tell: Tell) -> None:
    async def story(app: App) -> None:
        async with app.live():
            first, second = app.hub.happened(), app.hub.happened()
            app.hub.head = 1000
            far = app.hub.happened()
            for message in (first, first, second, first, second, far, second, far):
                await app.hub.line.say(message)
            await app.hub.happens()
            await app.has_heard(REFETCH, 1, 2, 1001, 1002)

    tell(story)


def test_a_page_that_is_not_in_order_is_put_in_order(tell: Tell) -> None:
    async def story(app: App) -> None:
        async with app.live():
            pass
        for _ in range(3):
            app.hub.happened()

        def turned(line: ServerEnd, asked: Message) -> Message:
            answer = app.hub.resumed(line, asked)
            return answer | {"events": answer["events"][::-1]}

        app.hub.answers["resume"] = [turned]
        async with app.live():
            await app.has_heard(REFETCH, 1, 2, 3)

    tell(story)


def test_what_the_server_has_forgotten_is_to_be_fetched(tell: Tell) -> None:
    async def story(app: App) -> None:
        async with app.live():
            pass
        for _ in range(5):
            app.hub.happened()
        app.hub.trimmed = 3
        async with app.live():
            assert app.heard == [REFETCH, REFETCH]
            assert app.position == Position(EPOCH, 5)
            await app.hub.happens()
            await app.has_heard(REFETCH, REFETCH, 6)

    tell(story)


@pytest.mark.parametrize("offset", [0, 1])
def test_a_server_that_has_forgotten_what_it_owes_says_so(tell: Tell, offset: int) -> None:
    """Also one that is where the app is: what came between, nobody knows."""

    async def story(app: App) -> None:
        async with app.live():
            app.hub.head = 7
            await app.hub.line.say({"type": "refetch", "epoch": EPOCH, "offset": 7})
            await app.has_heard(REFETCH, REFETCH)
            # Twice, or late: it has been done.
            await app.hub.line.say({"type": "refetch", "epoch": EPOCH, "offset": 7 - offset})
            await app.hub.happens()
            await app.has_heard(REFETCH, REFETCH, 8)

    tell(story)


def test_of_a_stream_that_begins_anew_everything_is_fetched_anew(tell: Tell) -> None:
    async def story(app: App) -> None:
        app.hub.head = 50
        async with app.live():
            app.hub.epoch, app.hub.head = "another", 3
            await app.hub.happens()
            await app.is_live(2)
            assert app.heard == [REFETCH, REFETCH]
            assert app.position == Position("another", 4)
            await app.hub.happens()
            await app.has_heard(REFETCH, REFETCH, 5)
            assert len(app.hub.lines) == 1

    tell(story)


def test_a_restored_server_whose_offsets_are_lower_is_believed(tell: Tell) -> None:
    async def story(app: App) -> None:
        app.hub.head = 50
        async with app.live():
            pass
        app.hub.head = 10  # and the epoch wasn't changed
        async with app.live():
            assert app.heard == [REFETCH, REFETCH]
            assert app.position == Position(EPOCH, 10)

    tell(story)


def test_new_permissions_are_told_as_what_they_are(tell: Tell) -> None:
    async def story(app: App) -> None:
        async with app.live():
            data = {"userId": "user-1", "permissions": ["media:read", "users:read"]}
            await app.hub.happens("own:1", event="permissions_updated", data=data)
            # A thing's own event may have that name.
            await app.hub.happens("own:1", "permissions_updated")
            await app.has_heard(REFETCH, "user-1 media:read users:read", 2)

    tell(story)


def test_another_user_of_the_phone_begins_anew_and_so_does_the_first_one_then(tell: Tell) -> None:
    async def story(app: App) -> None:
        async with app.live():
            await app.hub.happens()
            await app.has_heard(REFETCH, 1)
        first, app.user = app.user, "user-2"
        assert app.position is None
        with_tokens_of_its_own(app)
        async with app.live():
            await app.has_heard(REFETCH, 1, REFETCH)
        app.user = first
        with_tokens_of_its_own(app)
        assert app.position is None
        async with app.live():
            await app.has_heard(REFETCH, 1, REFETCH, REFETCH)

    tell(story)


def test_a_user_who_signs_in_meanwhile_has_a_position_of_their_own(tell: Tell) -> None:
    async def story(app: App) -> None:
        async with app.live():
            app.user = "user-2"
            with_tokens_of_its_own(app)
            await app.hub.happens()
            await app.has_heard(REFETCH, 1)
            assert app.position is None  # what was told, was told to the first one
            await app.hub.line.cut()
            await app.hands.sleep_out(1)
            await app.is_live(2)
            await app.has_heard(REFETCH, 1, REFETCH)
            assert app.position == Position(EPOCH, 1)

    tell(story)


def test_a_position_that_the_server_refuses_is_forgotten(tell: Tell) -> None:
    async def story(app: App) -> None:
        async with app.live():
            pass
        app.hub.answers["resume"] = [lambda *_: refusal("VALIDATION_ERROR")]
        async with app.live():
            await app.has_heard(REFETCH, REFETCH)
        assert [asked.get("epoch") for asked in app.hub.line.asked] == [EPOCH, None]

    tell(story)


@pytest.mark.parametrize("code", ["RATE_LIMITED", "UNAVAILABLE", "INTERNAL_ERROR"])
def test_a_server_that_cannot_answer_now_is_asked_on_the_next_connection(
    tell: Tell, code: str
) -> None:
    async def story(app: App) -> None:
        async with app.live():
            await app.hub.happens()
            await app.has_heard(REFETCH, 1)
        app.hub.happened()
        app.hub.answers["resume"] = [lambda *_: refusal(code)]
        async with app.listening():
            await app.hands.sleep_out(1)
            await app.has_heard(REFETCH, 1, 2)
        assert app.hub.line.asked[0]["offset"] == 1

    tell(story)


@pytest.mark.parametrize(
    "strange",
    [
        {"offset": 4},  # back
        {"epoch": "another"},  # and recovered
        {"more": True, "offset": 5, "events": []},  # more of nothing
        {"events": [{"offset": 2**40}]},
        {"type": "subscribed", "channels": []},
        {"type": "error", "code": "", "message": ""},
    ],
)
def test_an_answer_that_makes_no_sense_moves_nothing(tell: Tell, strange: Message) -> None:
    async def story(app: App) -> None:
        app.hub.head = 5
        async with app.live():
            pass

        def answer(line: ServerEnd, asked: Message) -> Message:
            found = app.hub.resumed(line, asked) | strange
            events = [app.hub.happened() | each for each in strange.get("events", ())]
            return found | ({"events": events} if "events" in found else {})

        # The last of these is a position that is refused, and then the place to begin at as well.
        app.hub.answers["resume"] = [answer, answer]
        async with app.listening():
            await until(lambda: app.pauses)
            assert app.position == Position(EPOCH, 5)
            assert app.heard == [REFETCH]

    tell(story)


def with_tokens_of_its_own(app: App) -> None:
    with Database(app.home / "client.db") as database:
        app.sign_in(database)
