"""Speaking to one connection: what is kept between frames, and what is never waited for."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from fieldgate import deadline
from fieldgate.errors import Unavailable
from fieldgate.sigv4 import Credentials
from realtime import connections_api
from realtime.connections_api import ConnectionGone, ConnectionsApi
from tests.support.connections_api import (
    ACCESS_KEY,
    REGION,
    SECRET_KEY,
    TOKEN,
    Fault,
    run_connections_api,
)
from tests.support.connections_api import ConnectionsApi as Gateway


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with run_connections_api() as gateway:
        gateway.connect("a/b+c=")
        yield gateway


@contextmanager
def speaking_to(endpoint: str) -> Iterator[ConnectionsApi]:
    credentials = Credentials(ACCESS_KEY, SECRET_KEY, TOKEN)
    api = ConnectionsApi(endpoint, REGION, lambda: credentials)
    try:
        yield api
    finally:
        api.hang_up()


@pytest.fixture
def api(gateway: Gateway) -> Iterator[ConnectionsApi]:
    with speaking_to(gateway.endpoint) as api:
        yield api


def test_frames_arrive_signed_and_a_connection_is_closed(
    gateway: Gateway, api: ConnectionsApi
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
def test_what_is_not_taken_is_said(gateway: Gateway, api: ConnectionsApi, fault: Fault) -> None:
    gateway.choose_fault = lambda _method, _id: fault

    with pytest.raises(Unavailable):
        api.post("a/b+c=", "x")
    with pytest.raises(Unavailable):
        api.close("a/b+c=")


def test_a_kept_connection_that_was_silent_for_long_is_not_trusted(
    gateway: Gateway, api: ConnectionsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.post("a/b+c=", "x")
    later = SimpleNamespace(time=lambda: time.time() + connections_api.IDLE_SECONDS + 1)
    monkeypatch.setattr(connections_api, "time", later)

    api.post("a/b+c=", "y")

    assert gateway.accepted == 2
    assert gateway.frames["a/b+c="] == [b"x", b"y"]


def test_nothing_is_begun_after_the_deadline(gateway: Gateway, api: ConnectionsApi) -> None:
    with deadline.within(0), pytest.raises(Unavailable):
        api.post("a/b+c=", "x")
    assert gateway.asked == []


def test_https_is_verified(gateway: Gateway) -> None:
    with (
        speaking_to(gateway.endpoint.replace("http:", "https:")) as api,
        pytest.raises(Unavailable),
    ):
        api.post("a/b+c=", "x")
    assert gateway.asked == []
    assert connections_api._tls_context().check_hostname
