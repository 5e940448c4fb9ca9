"""What Firebase Cloud Messaging says, by its SDK over HTTP, is what becomes of a message."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from aiohttp import web

from fieldgate.push import Outcome, PushMessage
from fieldgate.push import fcm as fcm_module
from fieldgate.push.fcm import FcmPusher
from fieldgate.push.fcm_sending import Waits
from local.fcm_errors import error_answer
from tests.support.fcm import RunningFcm, dripping_server, run_fcm
from tests.support.log import Log

SENT = Outcome("sent")
SOON = Waits(connect=1, answer=0.5)


@pytest.fixture
def fcm(log: Log) -> Iterator[RunningFcm]:
    with run_fcm() as running:
        yield running


@pytest.fixture
def pusher(fcm: RunningFcm) -> Iterator[FcmPusher]:
    pusher = pusher_to(fcm)
    yield pusher
    pusher.close()


def pusher_to(fcm: RunningFcm, **options: Any) -> FcmPusher:
    credentials = fcm.settings["FIREBASE_CREDENTIALS"]
    return FcmPusher(lambda: credentials, url=fcm.url, **{"waits": SOON} | options)


def message(address: str = "good-1", **values: Any) -> PushMessage:
    about: dict[str, Any] = {
        "address_kind": "token",
        "title": "Rain",
        "body": "Bring the maize in.",
        "channel": "general",
        "collapse_key": "rain",
        "badge": 1,
    }
    return PushMessage(address, **about | values)


def said(code: str, retry_after: str | None = None) -> Callable[[], web.Response]:
    def answer() -> web.Response:
        response = error_answer(code)
        if retry_after is not None:
            response.headers["Retry-After"] = retry_after
        return response

    return answer


def answered(status: int, body: bytes) -> Callable[[], web.Response]:
    return lambda: web.Response(status=status, body=body, content_type="application/json")


def date_in(**period: int) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(**period), usegmt=True)


FAULTS: dict[str, tuple[Callable[[], web.Response], Outcome]] = {
    "gone": (said("UNREGISTERED"), Outcome("unregistered", "unregistered")),
    "theirs": (said("SENDER_ID_MISMATCH"), Outcome("sender_mismatch", "sender_mismatch")),
    "bad": (said("INVALID_ARGUMENT"), Outcome("bad_message", "invalid_argument")),
    "who": (said("UNAUTHENTICATED"), Outcome("misconfigured", "unauthenticated")),
    "apple": (said("THIRD_PARTY_AUTH_ERROR"), Outcome("misconfigured", "third_party_auth")),
    "denied": (said("PERMISSION_DENIED"), Outcome("misconfigured", "permission_denied")),
    "nowhere": (said("NOT_FOUND"), Outcome("misconfigured", "not_found")),
    "busy": (said("QUOTA_EXCEEDED", "30"), Outcome("passing", "quota_exceeded", 30)),
    "busiest": (said("QUOTA_EXCEEDED"), Outcome("passing", "quota_exceeded", 60)),
    "unclear": (said("QUOTA_EXCEEDED", "soon"), Outcome("passing", "quota_exceeded", 60)),
    "internal": (said("INTERNAL"), Outcome("passing", "internal")),
    "down": (said("UNAVAILABLE"), Outcome("passing", "unavailable")),
    "later": (said("UNAVAILABLE", "7"), Outcome("passing", "unavailable", 7)),
    "teapot": (answered(418, b"{}"), Outcome("passing", "unknown_status")),
    "moved": (
        lambda: web.Response(status=302, headers={"Location": "/elsewhere"}),
        Outcome("passing", "unknown_status"),
    ),
    "page": (answered(200, b"<html>Sign in</html>"), Outcome("passing", "answer_not_understood")),
    "nameless": (answered(200, b"{}"), Outcome("passing", "answer_not_understood")),
    "list": (answered(200, b"[]"), Outcome("passing", "answer_not_understood")),
    "text": (answered(500, b'{"error": "no"}'), Outcome("passing", "answer_not_understood")),
    "bytes": (answered(500, b"\xff\xfe"), Outcome("passing", "answer_not_understood")),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_each_answer_has_one_meaning(fcm: RunningFcm, pusher: FcmPusher, kind: str) -> None:
    fcm.answers[kind], expected = FAULTS[kind]
    assert pusher.send_each([message(f"{kind}-1"), message()], 5) == [expected, SENT]
    assert fcm.requests == {f"{kind}-1": 1, "good-1": 1}


def test_a_date_to_come_back_at_is_understood(fcm: RunningFcm, pusher: FcmPusher) -> None:
    fcm.answers["busy"] = said("QUOTA_EXCEEDED", date_in(minutes=2))
    fcm.answers["past"] = said("UNAVAILABLE", date_in(minutes=-2))
    fcm.answers["far"] = said("UNAVAILABLE", "9" * 400)
    busy, past, far = pusher.send_each([message(f"{kind}-1") for kind in fcm.answers], 5)
    assert busy.retry_after == pytest.approx(120, abs=5)
    assert past.retry_after == 0
    assert far.retry_after == 3600


def test_of_a_mixed_batch_each_message_has_its_own_outcome_and_one_request(
    fcm: RunningFcm, pusher: FcmPusher
) -> None:
    fcm.answers |= {kind: answer for kind, (answer, _) in FAULTS.items()}
    kinds = {kind: outcome for kind, (_, outcome) in FAULTS.items()}
    kinds |= {
        "hang": Outcome("passing", "time_out"),
        "cut": Outcome("passing", "not_reached"),
        "good": SENT,
        "slow": SENT,
        "fine": SENT,
    }
    addresses = [f"{kind}-{number}" for number in range(20) for kind in kinds]
    for number in range(20):
        fcm.break_token(f"hang-{number}", "hang")
        fcm.break_token(f"cut-{number}", "down")
        fcm.break_token(f"slow-{number}", "slow")
    assert len(addresses) == 500

    began = time.monotonic()
    outcomes = pusher.send_each([message(address) for address in addresses], 15)

    assert time.monotonic() - began < 10
    assert outcomes == [kinds[address.partition("-")[0]] for address in addresses]
    assert set(fcm.requests.values()) == {1}
    assert fcm.requests.keys() == set(addresses)
    assert len(fcm.messages()) == 60


def test_when_nobody_answers_most_are_not_tried(fcm: RunningFcm, pusher: FcmPusher) -> None:
    fcm.faults.set("fcm", "hang", 60)
    assert pusher.send_each([message()], 5)[0].verdict == "passing"  # no access token
    fcm.faults.set("fcm", "hang", 0)
    assert pusher.send_each([message()], 5) == [SENT]
    fcm.requests.clear()
    fcm.faults.set("fcm", "hang", 60)

    began = time.monotonic()
    outcomes = pusher.send_each([message(f"good-{number}") for number in range(500)], 15)

    assert time.monotonic() - began < 5
    tried = [outcome for outcome in outcomes if outcome.verdict != "not_tried"]
    assert set(tried) == {Outcome("passing", "time_out")}
    assert fcm_module.THREADS <= len(tried) < 2 * fcm_module.THREADS
    assert fcm.requests.total() == len(tried)


def test_when_nobody_is_there_most_are_not_tried(fcm: RunningFcm, pusher: FcmPusher) -> None:
    assert pusher.send_each([message()], 5) == [SENT]
    fcm.faults.set("fcm", "down", 60)
    outcomes = pusher.send_each([message(f"good-{number}") for number in range(500)], 15)
    assert outcomes[0] == Outcome("passing", "not_reached")
    assert sum(outcome.verdict == "not_tried" for outcome in outcomes) > 500 - 2 * 32


def test_nothing_is_begun_when_the_time_is_over(fcm: RunningFcm) -> None:
    pusher = pusher_to(fcm, threads=2, waits=Waits(answer=5))
    assert [one.verdict for one in pusher.send_each([message()], 0)] == ["not_tried"]
    assert fcm.standin.token_requests == 0
    assert pusher.send_each([], 5) == []
    # The access token is there, so that the half second is for messages.
    assert [one.verdict for one in pusher.send_each([message("good-first")], 5)] == ["sent"]
    fcm.standin.latency_seconds = 0.1
    outcomes = pusher.send_each([message(f"good-{number}") for number in range(100)], 0.5)
    verdicts = [outcome.verdict for outcome in outcomes]
    number = verdicts.count("sent")
    # What was begun was finished, and is what came first.
    assert 2 <= number <= 10
    assert verdicts == ["sent"] * number + ["not_tried"] * (100 - number)
    assert fcm.requests.total() == 1 + number
    pusher.close()


def test_what_comes_byte_by_byte_is_not_waited_for(
    fcm: RunningFcm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fieldgate.push.fcm_sending.GRACE_SECONDS", 0.1)
    credentials = fcm.settings["FIREBASE_CREDENTIALS"]
    with dripping_server() as url:
        waits = Waits(connect=0.2, answer=0.2)
        pusher = FcmPusher(lambda: credentials, url=url, waits=waits)
        began = time.monotonic()
        outcomes = pusher.send_each([message("good-1"), message("good-2")], 1.5)
        assert time.monotonic() - began < 5
    assert outcomes == [Outcome("passing", "time_out")] * 2
    pusher.close()


def test_the_message_is_what_each_platform_needs(fcm: RunningFcm, pusher: FcmPusher) -> None:
    sent = message(
        "a-token", channel="stock_expiry", collapse_key="lot:7", badge=3, data={"lotId": "7"}
    )
    assert pusher.send_each([sent], 5) == [SENT]
    (taken,) = fcm.messages("a-token")
    topic = taken["webpush"]["headers"].pop("Topic")
    assert len(topic) == 32
    assert taken == {
        "token": "a-token",
        "notification": {"title": "Rain", "body": "Bring the maize in."},
        "data": {"lotId": "7"},
        "android": {
            "priority": "high",
            "collapse_key": "lot:7",
            "notification": {"channel_id": "stock_expiry", "sound": "default", "tag": "lot:7"},
        },
        "apns": {
            "headers": {"apns-priority": "10", "apns-collapse-id": "lot:7"},
            "payload": {"aps": {"badge": 3, "sound": "default"}},
        },
        "webpush": {"headers": {"Urgency": "high"}, "notification": {"tag": "lot:7"}},
    }


def test_a_long_collapse_key_is_short_for_apple_and_still_its_own(
    fcm: RunningFcm, pusher: FcmPusher
) -> None:
    keys = ["k" * 64, "k" * 65, "k" * 66, "ü" * 33]
    pusher.send_each([message(f"a-{key}", collapse_key=key) for key in keys], 5)
    ids = [fcm.messages(f"a-{key}")[0]["apns"]["headers"]["apns-collapse-id"] for key in keys]
    assert ids[0] == keys[0]
    assert len(set(ids)) == 4
    assert all(len(one.encode()) <= 64 for one in ids)


def test_tokens_and_installation_ids_are_both_addresses(fcm: RunningFcm, pusher: FcmPusher) -> None:
    pusher.send_each([message("t"), message("f", address_kind="fid")], 5)
    assert fcm.messages("t")[0]["token"] == "t"
    assert fcm.messages("f")[0]["fid"] == "f"
    assert "token" not in fcm.messages("f")[0]


def test_what_the_sdk_refuses_harms_no_other_message(fcm: RunningFcm, pusher: FcmPusher) -> None:
    malformed = [message(""), message("a", data={"count": 7})]
    outcomes = pusher.send_each([*malformed, message()], 5)
    assert [outcome.verdict for outcome in outcomes] == ["bad_message", "bad_message", "sent"]
    assert fcm.requests == {"good-1": 1}


def test_connections_are_kept_and_not_for_too_long(
    fcm: RunningFcm, monkeypatch: pytest.MonkeyPatch
) -> None:
    pusher = pusher_to(fcm, threads=1)
    numbers = []
    for idle in (200, 200, -1):
        monkeypatch.setattr("fieldgate.push.fcm.IDLE_SECONDS", idle)
        assert pusher.send_each([message(), message()], 5) == [SENT, SENT]
        numbers.append(len(fcm.connections))
    # The first is the one that the access token came by.
    assert numbers == [2, 2, 3]
    pusher.close()


def test_neither_address_nor_text_is_logged(fcm: RunningFcm, pusher: FcmPusher, log: Log) -> None:
    fcm.answers |= {kind: answer for kind, (answer, _) in FAULTS.items()}
    pusher.send_each([message(f"{kind}-secret") for kind in FAULTS], 5)
    assert "secret" not in log.text
    assert "maize" not in log.text
