"""A connection waits for a network and is made when it is back."""

import pytest

from fieldgate_client.captive_portal import Reach
from fieldgate_client.connectivity import UNKNOWN, Connectivity, Probes, State
from fieldgate_client.network import NetworkType
from fieldgate_client.realtime import RealtimeState
from tests.client.portal import Answers
from tests.client.realtime.conftest import REFETCH, App, Tell
from tests.client.realtime.hub import until
from tests.client.realtime.tries import try_again


def network(app: App) -> tuple[Connectivity, Answers]:
    url = f"{app.hub.url}/generate_204"
    answers = Answers({url: 204})

    async def resolve(host: str) -> None:
        pass

    connectivity = Connectivity(
        Probes(("127.0.0.1",), (url,)),
        network=lambda: NetworkType.WIFI,
        resolver=resolve,
        transport=answers,
        sleep=app.hands.sleep,
    )
    return connectivity, answers


def test_without_a_network_it_waits_for_one_and_then_tries_at_once(tell: Tell) -> None:
    async def story(app: App) -> None:
        connectivity, answers = network(app)
        answers.answers[app.hub.url + "/generate_204"] = 302
        async with connectivity, app.listening(connectivity=connectivity):
            await until(lambda: app.states == [RealtimeState.OFFLINE])
            assert app.hub.shown == []
            answers.answers[app.hub.url + "/generate_204"] = 204
            await app.hands.sleep_out(60)
            await app.is_live(1)
        assert app.pauses == []

    tell(story)


def test_one_that_nobody_watches_is_checked(tell: Tell) -> None:
    async def story(app: App) -> None:
        connectivity, _ = network(app)
        assert connectivity.state == UNKNOWN
        async with app.live(connectivity=connectivity):
            assert connectivity.state.reach is Reach.ONLINE
        assert connectivity._listeners == {}
        assert app.states[0] is RealtimeState.CONNECTING

    tell(story)


def test_a_connection_that_breaks_with_the_network_is_made_when_it_is_back(tell: Tell) -> None:
    async def story(app: App) -> None:
        url = app.hub.url + "/generate_204"
        connectivity, answers = network(app)
        async with connectivity, app.live(connectivity=connectivity):
            answers.answers[url] = 302
            await app.hub.line.cut()
            await app.hub.happens()
            await until(lambda: app.states[-1] is RealtimeState.OFFLINE)
            answers.answers[url] = 204
            await connectivity.network_changed()
            await app.has_heard(REFETCH, 1)
        assert app.pauses == []

    tell(story)


def test_a_pause_ends_when_the_network_comes_back_in_the_middle(tell: Tell) -> None:
    async def story(app: App) -> None:
        url = app.hub.url + "/generate_204"
        connectivity, answers = network(app)
        async with connectivity, app.live(connectivity=connectivity):
            app.hub.handshakes = [500]
            await app.hub.line.cut()
            await try_again(app, 1)
            await until(lambda: app.pauses == [1, 2])
            answers.answers[url] = 302
            await connectivity.network_changed()
            answers.answers[url] = 204
            assert await connectivity.network_changed() == State(Reach.ONLINE, NetworkType.WIFI)
            await app.is_live(2)  # with nobody's clock moved

    tell(story)


def test_a_server_on_this_machine_is_reached_past_any_proxy(
    tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    for scheme in ("http", "https", "socks", "all"):
        monkeypatch.setenv(f"{scheme}_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)

    async def story(app: App) -> None:
        async with app.live():
            pass
        assert app.pauses == []

    tell(story)
