"""Speaking to one connection: what is kept between frames, and what is never waited for."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from fieldgate import deadline
from fieldgate.errors import Unavailable
from realtime import connections_api, endpoint
from realtime.connections_api import ConnectionGone, ConnectionsApi
from tests.support.connections_api import Fault, LoopbackApi, run_connections_api
from tests.support.fan_out import CREDENTIALS, settings_for


@pytest.fixture
def gateway() -> Iterator[LoopbackApi]:
    with run_connections_api() as gateway:
        gateway.connect("a/b+c=")
        yield gateway


@contextmanager
def speaking_to(endpoint: str) -> Iterator[ConnectionsApi]:
    api = ConnectionsApi(settings_for(endpoint), lambda: CREDENTIALS)
    try:
        yield api
    finally:
        api.hang_up()


@pytest.fixture
def api(gateway: LoopbackApi) -> Iterator[ConnectionsApi]:
    with speaking_to(gateway.endpoint) as api:
        yield api


def test_frames_arrive_signed_and_a_connection_is_closed(
    gateway: LoopbackApi, api: ConnectionsApi
) -> None:
    api.post("a/b+c=", "é\x1e")
    api.close("a/b+c=")
    api.close("a/b+c=")
    with pytest.raises(ConnectionGone):
        api.post("a/b+c=", "x")

    assert gateway.refusals == []
    assert gateway.frames["a/b+c="] == ["é\x1e".encode()]
    assert gateway.deleted == ["a/b+c="]
    assert gateway.accepted == 1


@pytest.mark.parametrize("fault", [403, 429, 503, "cut", "lost"])
def test_what_is_not_taken_is_said(gateway: LoopbackApi, api: ConnectionsApi, fault: Fault) -> None:
    gateway.choose_fault = lambda _method, _id: fault

    with pytest.raises(Unavailable):
        api.post("a/b+c=", "x")
    with pytest.raises(Unavailable):
        api.close("a/b+c=")


def test_a_kept_connection_that_was_silent_for_long_is_not_trusted(
    gateway: LoopbackApi, api: ConnectionsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.post("a/b+c=", "x")
    later = SimpleNamespace(time=lambda: time.time() + endpoint.IDLE_SECONDS + 1)
    monkeypatch.setattr(connections_api, "time", later)

    api.post("a/b+c=", "y")

    assert gateway.accepted == 2
    assert gateway.frames["a/b+c="] == [b"x", b"y"]


def test_nothing_is_begun_after_the_deadline(gateway: LoopbackApi, api: ConnectionsApi) -> None:
    with deadline.within(0), pytest.raises(Unavailable):
        api.post("a/b+c=", "x")
    assert gateway.asked == []


def test_https_is_verified(gateway: LoopbackApi) -> None:
    with (
        speaking_to(gateway.endpoint.replace("http:", "https:")) as api,
        pytest.raises(Unavailable),
    ):
        api.post("a/b+c=", "x")
    assert gateway.asked == []
    assert connections_api._tls_context().check_hostname
