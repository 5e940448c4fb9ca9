"""The stand-in for FCM refuses what the real one refuses, and keeps what it took."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import pytest

from local.fcm import AUDIENCE, GRANT, MAX_PAYLOAD_BYTES, SCOPE
from local.fcm_errors import ERRORS, FCM_ERROR
from tests.support.fcm import RunningFcm, run_fcm

MESSAGE = {"token": "a-token", "notification": {"title": "Rain", "body": "Soon."}}


@pytest.fixture
def fcm() -> Iterator[RunningFcm]:
    with run_fcm() as running:
        yield running


def ask(fcm: RunningFcm, key: str = "", grant: str = GRANT, **claims: Any) -> httpx.Response:
    """Ask for an access token, with these claims and otherwise good ones; None leaves one out."""
    account = json.loads(fcm.settings["FIREBASE_CREDENTIALS"])
    now = int(time.time())
    good = {"iss": account["client_email"], "aud": AUDIENCE, "scope": SCOPE}
    all_claims = good | {"iat": now, "exp": now + 3600} | claims
    told = {name: value for name, value in all_claims.items() if value is not None}
    assertion = jwt.encode(told, key or account["private_key"], algorithm="RS256")
    form = {"grant_type": grant, "assertion": assertion}
    return httpx.post(account["token_uri"], data=form, trust_env=False)


def send(
    fcm: RunningFcm, message: Any, token: str | None = None, project: str = "fieldgate-local"
) -> httpx.Response:
    if token is None:
        token = ask(fcm).json()["access_token"]
    return httpx.post(
        f"{fcm.url}/v1/projects/{project}/messages:send",
        json={"message": message},
        headers={"Authorization": f"Bearer {token}"},
        trust_env=False,
    )


def test_what_it_takes_is_named_and_kept_the_newest_first(fcm: RunningFcm) -> None:
    answer = send(fcm, MESSAGE)
    assert answer.status_code == 200
    assert answer.json()["name"].startswith("projects/fieldgate-local/messages/")
    send(fcm, {"fid": "an-app", "data": {"lotId": "7"}})
    newest, oldest = fcm.standin.inbox()
    assert (newest["token"], oldest["token"]) == ("an-app", "a-token")
    assert oldest["message"] == MESSAGE
    assert oldest["at"].endswith("Z")
    assert fcm.standin.inbox("a-token") == [oldest]
    assert fcm.standin.inbox("nobody") == []


def test_an_access_token_is_for_who_signs_by_the_key(fcm: RunningFcm) -> None:
    granted = ask(fcm).json()
    assert (granted["token_type"], granted["expires_in"]) == ("Bearer", 3600)
    with run_fcm() as other:
        key = json.loads(other.settings["FIREBASE_CREDENTIALS"])["private_key"]
    now = int(time.time())
    for refused, error in (
        (ask(fcm, key), "invalid_grant"),
        (ask(fcm, aud="https://elsewhere.example/token"), "invalid_grant"),
        (ask(fcm, exp=now - 60), "invalid_grant"),
        (ask(fcm, exp=None), "invalid_grant"),
        (ask(fcm, iss="stranger@elsewhere.example"), "invalid_grant"),
        (ask(fcm, scope="https://www.googleapis.com/auth/drive"), "invalid_scope"),
        (ask(fcm, grant="password"), "unsupported_grant_type"),
    ):
        assert (refused.status_code, refused.json()["error"]) == (400, error)


def test_without_a_good_access_token_nothing_is_taken(fcm: RunningFcm) -> None:
    for token in ("x", "ya29.another"):
        assert send(fcm, MESSAGE, token).status_code == 401
    good = ask(fcm).json()["access_token"]
    assert send(fcm, MESSAGE, good).status_code == 200
    fcm.standin.expire_access_tokens()
    answer = send(fcm, MESSAGE, good)
    assert answer.json()["error"]["status"] == "UNAUTHENTICATED"
    assert len(fcm.messages()) == 1


def test_another_project_is_not_ours_to_send_for(fcm: RunningFcm) -> None:
    answer = send(fcm, MESSAGE, project="another")
    assert (answer.status_code, answer.json()["error"]["status"]) == (403, "PERMISSION_DENIED")


@pytest.mark.parametrize(
    "message",
    [
        None,
        [],
        {"notification": {"title": "Rain"}},
        {"token": "a-token", "fid": "an-app"},
        MESSAGE | {"sound": "default"},
        MESSAGE | {"data": {"count": 7}},
        MESSAGE | {"data": "7"},
        MESSAGE | {"notification": "Rain"},
        MESSAGE | {"apns": {"headers": {"apns-collapse-id": "k" * 65}}},
        MESSAGE | {"apns": "high"},
        MESSAGE | {"apns": {"headers": "high"}},
        MESSAGE | {"data": {"text": "x" * MAX_PAYLOAD_BYTES}},
        MESSAGE | {"notification": {"body": "ü" * (MAX_PAYLOAD_BYTES // 2)}},
    ],
)
def test_what_is_no_message_is_refused(fcm: RunningFcm, message: Any) -> None:
    answer = send(fcm, message)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["details"] == [{"@type": FCM_ERROR, "errorCode": "INVALID_ARGUMENT"}]
    assert fcm.messages() == []


@pytest.mark.parametrize("code", ERRORS)
def test_each_error_can_be_ordered(fcm: RunningFcm, code: str) -> None:
    fcm.break_token("a-token", "error", code=code, retry_after=60)
    answer = send(fcm, MESSAGE)
    error = answer.json()["error"]
    assert answer.status_code == error["code"] == ERRORS[code].status
    assert answer.headers["Retry-After"] == "60"
    assert send(fcm, MESSAGE | {"token": "other"}).status_code == 200


def test_it_can_be_broken_on_purpose(fcm: RunningFcm) -> None:
    token = ask(fcm).json()["access_token"]
    fcm.faults.set("fcm", "error", 60)
    assert send(fcm, MESSAGE, token).status_code == 500
    assert ask(fcm).status_code == 500
    fcm.faults.set("fcm", "down", 60)
    # A cut connection is one or the other, as the reset is noticed before the reading or in it.
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        send(fcm, MESSAGE, token)
    assert fcm.messages() == []
    fcm.faults.set("fcm", "slow", 60)
    assert send(fcm, MESSAGE, token).status_code == 200
    assert fcm.requests == {"a-token": 3}
