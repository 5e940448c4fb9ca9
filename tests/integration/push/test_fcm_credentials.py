"""Who we are for Google: the service account's key, the access token, and the settings."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from fieldgate import settings
from fieldgate.errors import ConfigurationError
from fieldgate.push import Outcome, PushMessage
from fieldgate.push.fcm import FcmPusher
from fieldgate.push.fcm_sending import Waits
from fieldgate.push.sending import pusher
from local.fcm import ACCESS_TOKEN_SECONDS
from tests.support.fcm import RunningFcm, run_fcm
from tests.support.log import Log

SENT = Outcome("sent")
MESSAGES = [
    PushMessage(f"good-{number}", "token", "Rain", "Soon.", "general", "rain", 1)
    for number in range(40)
]


@pytest.fixture
def fcm(environment: pytest.MonkeyPatch) -> Iterator[RunningFcm]:
    with run_fcm() as running:
        for name, value in running.settings.items():
            environment.setenv(name, value)
        yield running


def configured() -> FcmPusher:
    found = pusher()
    assert isinstance(found, FcmPusher)
    return found


def send(seconds: float = 5) -> set[Outcome]:
    return set(configured().send_each(MESSAGES, seconds))


def impatient(fcm: RunningFcm) -> FcmPusher:
    credentials = fcm.settings["FIREBASE_CREDENTIALS"]
    return FcmPusher(lambda: credentials, url=fcm.url, waits=Waits(1, 0.3))


def change_key(fcm: RunningFcm, **values: Any) -> str:
    return json.dumps(json.loads(fcm.settings["FIREBASE_CREDENTIALS"]) | values)


def test_one_access_token_is_for_all_threads_and_runs(fcm: RunningFcm) -> None:
    assert send() == send() == {SENT}
    assert fcm.standin.token_requests == 1
    configured().close()


def test_an_access_token_that_would_end_during_a_run_is_replaced_before(
    fcm: RunningFcm,
) -> None:
    assert send() == {SENT}
    assert send(ACCESS_TOKEN_SECONDS) == {SENT}
    assert fcm.standin.token_requests == 2
    configured().close()


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"mode": "error"}, Outcome("passing", "token_unavailable")),
        (
            {"mode": "error", "code": "UNAVAILABLE", "retry_after": 9},
            Outcome("passing", "token_unavailable", 9),
        ),
        ({"mode": "error", "code": "QUOTA_EXCEEDED"}, Outcome("passing", "token_unavailable")),
        ({"mode": "error", "code": "PERMISSION_DENIED"}, Outcome("misconfigured", "token_refused")),
        ({"mode": "down"}, Outcome("passing", "not_reached")),
        ({"mode": "hang"}, Outcome("passing", "not_reached")),
    ],
)
def test_without_access_token_no_message_is_tried(
    fcm: RunningFcm, fault: dict[str, Any], expected: Outcome
) -> None:
    fcm.faults.set("fcm", **{"seconds": 60} | fault)
    pusher = impatient(fcm)
    began = time.monotonic()
    assert set(pusher.send_each(MESSAGES, 5)) == {expected}
    # Neither is tried again what google-auth would, after one second and two.
    assert time.monotonic() - began < 1.5
    assert fcm.standin.token_requests == 1
    assert not fcm.requests
    fcm.faults.set("fcm", "error", 0)
    assert set(pusher.send_each(MESSAGES, 5)) == {SENT}
    pusher.close()


def test_an_answer_that_is_no_access_token_passes(fcm: RunningFcm) -> None:
    for body in (b"<html>Sign in</html>", b"[]", b"{}", b'{"access_token": 7}', b"\xff"):
        fcm.token_body = body
        pusher = impatient(fcm)
        for _ in range(2):
            assert {one.verdict for one in pusher.send_each(MESSAGES, 5)} == {"passing"}, body
        pusher.close()


def test_after_a_refusal_the_next_run_has_new_credentials(
    fcm: RunningFcm, environment: pytest.MonkeyPatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mock_aws():
        vault = boto3.client("secretsmanager")
        stranger = change_key(fcm, client_email="stranger@elsewhere.iam.gserviceaccount.com")
        secret = vault.create_secret(Name="firebase", SecretString=stranger)["ARN"]
        environment.delenv("FIREBASE_CREDENTIALS")
        environment.setenv("FIREBASE_CREDENTIALS_SECRET_ARN", secret)
        refused = {Outcome("misconfigured", "token_refused")}
        assert send() == send() == refused
        vault.put_secret_value(SecretId=secret, SecretString=fcm.settings["FIREBASE_CREDENTIALS"])
        # The refusal before had it forgotten: it is not five minutes old first.
        assert send() == {SENT}
    configured().close()


def test_an_access_token_that_is_not_taken_any_more_is_asked_for_in_the_next_run(
    fcm: RunningFcm,
) -> None:
    assert send() == {SENT}
    fcm.standin.expire_access_tokens()
    fcm.requests.clear()
    assert send() == {Outcome("misconfigured", "unauthenticated")}
    assert set(fcm.requests.values()) == {1}
    assert fcm.standin.token_requests == 1
    assert send() == {SENT}
    assert fcm.standin.token_requests == 2
    configured().close()


@pytest.mark.parametrize(
    "credentials",
    [
        "not json",
        "[]",
        "7",
        "{}",
        '{"type": "service_account"}',
        '{"type": "authorized_user", "project_id": "p"}',
    ],
)
def test_what_is_no_key_is_said_by_each_message(
    fcm: RunningFcm, environment: pytest.MonkeyPatch, log: Log, credentials: str
) -> None:
    environment.setenv("FIREBASE_CREDENTIALS", credentials)
    assert send() == {Outcome("misconfigured", "credentials")}
    assert log.said("FIREBASE_CREDENTIALS is no service account's key")
    assert not fcm.requests


def test_a_key_that_is_broken_is_said_and_not_shown(
    fcm: RunningFcm, environment: pytest.MonkeyPatch, log: Log
) -> None:
    environment.setenv("FIREBASE_CREDENTIALS", change_key(fcm, private_key="-----BEGIN opensesame"))
    assert send() == {Outcome("misconfigured", "credentials")}
    assert "opensesame" not in log.text


@pytest.mark.parametrize("name", ["FIREBASE_ENABLED", "Firebase__Enabled"])
def test_pushes_are_off_unless_they_are_switched_on(
    fcm: RunningFcm, environment: pytest.MonkeyPatch, log: Log, name: str
) -> None:
    environment.delenv("FIREBASE_ENABLED")
    assert pusher() is None
    (warning,) = log.said("feature off")
    assert warning["reason"] == "FIREBASE_ENABLED is not true"
    settings.forget()
    environment.setenv(name, "false")
    assert pusher() is None
    settings.forget()
    environment.setenv(name, "true")
    assert isinstance(pusher(), FcmPusher)


def test_pushes_are_off_without_credentials_or_project(
    fcm: RunningFcm, environment: pytest.MonkeyPatch, log: Log
) -> None:
    environment.setenv("FIREBASE_PROJECT_ID", "")
    assert send() == {SENT}  # the key's own
    configured().close()
    settings.forget()
    account = json.loads(fcm.settings["FIREBASE_CREDENTIALS"])
    del account["project_id"]
    environment.setenv("FIREBASE_CREDENTIALS", json.dumps(account))
    assert pusher() is None
    settings.forget()
    environment.delenv("FIREBASE_CREDENTIALS")
    assert pusher() is None
    assert [warning["reason"] for warning in log.said("feature off")] == [
        "FIREBASE_PROJECT_ID is not set",
        "FIREBASE_CREDENTIALS is not set",
    ]


def test_the_project_is_the_one_that_is_set(
    fcm: RunningFcm, environment: pytest.MonkeyPatch
) -> None:
    environment.delenv("FIREBASE_PROJECT_ID")
    environment.setenv("Firebase__ProjectId", "another")
    assert send() == {Outcome("misconfigured", "permission_denied")}


def test_credentials_may_be_in_a_file(
    fcm: RunningFcm, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "key.json"
    environment.delenv("FIREBASE_CREDENTIALS")
    environment.setenv("Firebase__CredentialsPath", str(file))
    # Somebody meant to push: that the file isn't there (yet) is no reason to be off.
    assert send() == {Outcome("passing", "credentials_not_read")}
    file.write_text(fcm.settings["FIREBASE_CREDENTIALS"])
    assert send() == {SENT}
    configured().close()


def test_credentials_that_can_not_be_read_now_are_asked_for_again(
    fcm: RunningFcm, environment: pytest.MonkeyPatch
) -> None:
    environment.delenv("FIREBASE_CREDENTIALS")
    environment.setenv("FIREBASE_CREDENTIALS_SECRET_ARN", "arn:aws:secretsmanager:not-there")
    with mock_aws():
        assert send() == {Outcome("passing", "credentials_not_read")}
        made = boto3.client("secretsmanager").create_secret(
            Name="firebase", SecretString=fcm.settings["FIREBASE_CREDENTIALS"]
        )
        environment.setenv("FIREBASE_CREDENTIALS_SECRET_ARN", made["ARN"])
        assert send() == {SENT}
    configured().close()


def test_a_switch_that_is_neither_on_nor_off_is_an_error(
    fcm: RunningFcm, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("FIREBASE_ENABLED", "perhaps")
    with pytest.raises(ConfigurationError, match="FIREBASE_ENABLED"):
        pusher()
