"""Whatever Google's token endpoint answers and the credentials hold is an outcome, and in time."""

import json
import math
import time
from collections.abc import Iterator

import pytest

from fieldgate.push import Outcome, PushMessage
from fieldgate.push.fcm import FcmPusher
from fieldgate.push.fcm_sending import Waits
from tests.support.fcm import RunningFcm, dripping_server, run_fcm
from tests.support.log import Log

MESSAGE = PushMessage("good-1", "token", "Rain", "Soon.", "general", "rain", 1)


@pytest.fixture
def fcm(log: Log) -> Iterator[RunningFcm]:
    with run_fcm() as running:
        yield running


def pusher_with(fcm: RunningFcm, credentials: str) -> FcmPusher:
    return FcmPusher(lambda: credentials, url=fcm.url, waits=Waits(connect=0.3, answer=0.3))


def test_an_access_token_that_comes_byte_by_byte_is_not_waited_for(fcm: RunningFcm) -> None:
    account = json.loads(fcm.settings["FIREBASE_CREDENTIALS"])
    with dripping_server() as url:
        pusher = pusher_with(fcm, json.dumps(account | {"token_uri": f"{url}/token"}))
        began = time.monotonic()
        # Twice, as the server drips to two.
        for _ in range(2):
            assert pusher.send_each([MESSAGE], 5) == [Outcome("passing", "time_out")]
        assert time.monotonic() - began < 3
    pusher.close()
    assert not fcm.requests


def test_an_access_token_without_an_end_is_good_for_one_run(fcm: RunningFcm) -> None:
    fcm.standin._issued["endless"] = math.inf
    fcm.token_body = b'{"access_token": "endless"}'
    pusher = pusher_with(fcm, fcm.settings["FIREBASE_CREDENTIALS"])
    for _ in range(2):
        assert pusher.send_each([MESSAGE], 5) == [Outcome("sent")]
    pusher.close()


@pytest.mark.parametrize(
    "credentials",
    ['"/etc/hostname"', "null", '{"type": 7}', "[" * 100_000, "9" * 5_000, "\udcff", ""],
    ids=["a path", "null", "type", "depth", "number", "surrogate", "nothing"],
)
def test_no_credentials_make_it_raise(fcm: RunningFcm, log: Log, credentials: str) -> None:
    pusher = pusher_with(fcm, credentials)
    assert pusher.send_each([MESSAGE], 5) == [Outcome("misconfigured", "credentials")]
    assert "hostname" not in log.text
