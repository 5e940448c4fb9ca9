"""Requests that took long: what the log and the metrics say of them."""

import json
from typing import Any

import pytest

from fieldgate.db import waits
from fieldgate.http import Envelope, create_app, entry_point, envelope
from fieldgate.http import app as app_module
from tests.support.clock import Clock
from tests.support.gateway import call
from tests.support.log import Log

SLOW, VERY_SLOW = "SlowRequest", "VerySlowRequest"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock.instead_of_time_in(app_module, monkeypatch)


def answer_after(clock: Clock, seconds: float, error: Exception | None = None) -> int:
    """Have a function take so long for a request of one farmer; return the status."""
    app = create_app("farmers", limit=None, public=True)

    @app.get("/farmers/{phone}")
    async def farmer(phone: str) -> Envelope[str]:
        clock.now += seconds
        waits.count += 2
        if error:
            raise error
        return envelope(phone)

    path, route = "/farmers/0711000001", "GET /farmers/{phone}"
    return call(entry_point(app), "GET", path, query="note=secret", route=route).status


def measured(printed: str) -> dict[str, Any]:
    """Return the metrics that were written, by name: dimensions and value."""
    return {
        metric["Name"]: (about["Dimensions"], line[metric["Name"]])
        for line in map(json.loads, printed.splitlines())
        for about in line["_aws"]["CloudWatchMetrics"]
        for metric in about["Metrics"]
    }


def test_a_request_in_time_leaves_no_word(
    clock: Clock, log: Log, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answer_after(clock, 0.999) == 200
    assert measured(capsys.readouterr().out) == {}
    assert {line["level"] for line in log.lines} == {"INFO"}


@pytest.mark.parametrize(
    ("seconds", "message", "metrics"),
    [
        (1, "slow request", {SLOW}),
        (2.999, "slow request", {SLOW}),
        (3, "very slow request", {SLOW, VERY_SLOW}),
    ],
)
def test_a_slow_one_is_logged_and_counted(
    clock: Clock,
    log: Log,
    capsys: pytest.CaptureFixture[str],
    seconds: float,
    message: str,
    metrics: set[str],
) -> None:
    assert answer_after(clock, seconds) == 200
    # Without dimensions of their own: what an alarm names.
    assert measured(capsys.readouterr().out) == {name: ([[]], [1]) for name in metrics}
    (line,) = log.said(message)
    assert (line["level"], line["status_code"]) == ("WARNING", 200)
    assert (line["milliseconds"], line["database_waits"]) == (seconds * 1000, 2)


def test_it_names_the_route_and_nobody_who_was_asked_for(clock: Clock, log: Log) -> None:
    answer_after(clock, 5)
    (line,) = log.said("very slow request")
    assert (line["method"], line["route"]) == ("GET", "GET /farmers/{phone}")
    assert line["request_id"]
    assert "0711000001" not in log.text
    assert "secret" not in log.text


def test_one_that_fails_slowly_says_both(clock: Clock, log: Log) -> None:
    assert answer_after(clock, 4, RuntimeError("broken")) == 500
    assert log.said("unexpected error")
    assert log.said("very slow request")[0]["status_code"] == 500
