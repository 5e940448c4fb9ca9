"""Until when work may still begin something, and what is said of it afterwards."""

import math
from collections.abc import Callable

import pytest

from fieldgate import deadline
from fieldgate.db.engine import Database
from fieldgate.deadline import seconds_left, within
from fieldgate.errors import Unavailable
from fieldgate.http import Envelope, create_app, entry_point, envelope
from fieldgate.http.app import REQUEST_SECONDS
from fieldgate.sigv4 import Credentials
from fieldgate.storage.s3 import S3Storage
from fieldgate.storage.settings import Place
from tests.support.clock import Clock
from tests.support.gateway import call
from tests.support.log import Log
from tests.support.ports import free_port


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock.instead_of_time_in(deadline, monkeypatch)


def test_outside_any_work_there_is_no_end() -> None:
    assert seconds_left() == math.inf


def test_within_work_the_time_runs_out(clock: Clock) -> None:
    with within(10):
        assert seconds_left() == 10
        clock.now += 9
        assert seconds_left() == 1
        clock.now += 1
        with pytest.raises(Unavailable, match="too long"):
            seconds_left()
    assert seconds_left() == math.inf


@pytest.mark.parametrize("seconds", [0, -1, -math.inf])
def test_work_may_begin_with_no_time_at_all(seconds: float) -> None:
    with within(seconds), pytest.raises(Unavailable):
        seconds_left()


def test_work_inside_work_has_its_own_time_and_gives_the_outer_back(clock: Clock) -> None:
    with within(10):
        with within(2):
            assert seconds_left() == 2
        assert seconds_left() == 10
        clock.now += 11
        with within(3):
            assert seconds_left() == 3
        with pytest.raises(Unavailable):
            seconds_left()


def test_work_that_fails_gives_it_back_too(clock: Clock) -> None:
    with pytest.raises(LookupError), within(10):
        raise LookupError
    assert seconds_left() == math.inf


@pytest.mark.parametrize("kind", ["read", "transact"])
def test_with_the_time_over_the_database_is_not_even_looked_for(kind: str) -> None:
    looked: list[str] = []
    database = Database(lambda: looked.append("address"))  # type: ignore[arg-type, return-value]
    with within(0), pytest.raises(Unavailable, match="too long"):
        getattr(database, kind)(lambda _: looked.append("work"))
    assert looked == []


STORAGE_CALLS: dict[str, Callable[[S3Storage], object]] = {
    "head": lambda storage: storage.head("a"),
    "read": lambda storage: storage.read("a", max_bytes=1),
    "put": lambda storage: storage.put("a", b"", content_type="x/y", cache_control="private"),
    "delete": lambda storage: storage.delete(["a"]),
}


@pytest.mark.parametrize("name", STORAGE_CALLS)
def test_with_the_time_over_storage_is_not_called(name: str) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    place = Place("originals", "eu-west-1", endpoint, endpoint, path_style=True)
    storage = S3Storage(place, Credentials("key", "secret"))
    with within(0), pytest.raises(Unavailable, match="too long"):
        STORAGE_CALLS[name](storage)


# Requests

app = create_app("deadline", limit=None, public=True)


@app.get("/left")
async def left() -> Envelope[float]:
    return envelope(seconds_left())


@app.get("/left-in-a-thread")
def left_in_a_thread() -> Envelope[float]:
    return envelope(seconds_left())


@app.get("/slow")
async def slow() -> Envelope[float]:
    deadline.time.monotonic.__self__.now += REQUEST_SECONDS  # type: ignore[attr-defined]
    return envelope(seconds_left())


handler = entry_point(app)


@pytest.mark.parametrize("path", ["/left", "/left-in-a-thread"])
def test_each_request_has_its_whole_time_also_after_one_that_took_too_long(
    clock: Clock, log: Log, path: str
) -> None:
    for _ in range(2):
        answer = call(handler, "GET", "/slow")
        assert (answer.status, answer.error["code"]) == (503, "UNAVAILABLE")
        assert call(handler, "GET", path).data == REQUEST_SECONDS
    assert seconds_left() == math.inf
