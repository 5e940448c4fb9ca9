"""The authorizer function: what it says to the gateway, and to the log."""

import json
import os
import uuid

import pytest
from moto import mock_aws

from fieldgate.tokens import Subject, issue
from identity import authorize, get_profile
from tests.support.gateway import authorized, call, http_event, say_alive, signed_in
from tests.support.log import Log

USER = uuid.uuid4()
SUBJECT = Subject(USER, [], [], 1, uuid.uuid4())


@pytest.mark.parametrize("headers", [None, {}, {"authorization": ""}])
def test_a_request_without_headers_has_no_caller(
    environment: pytest.MonkeyPatch, headers: dict[str, str] | None
) -> None:
    event = http_event("GET", "/") | {"headers": headers}

    assert authorize.handler(event, None) == {
        "isAuthorized": True,
        "context": {"failure": "UNAUTHORIZED"},
    }


def test_roles_and_permissions_reach_the_function_behind(environment: pytest.MonkeyPatch) -> None:
    context = signed_in(USER, roles=["agent"], permissions=["media:read"], permission_version=4)

    assert set(context) == {"claims"}
    claims = context["claims"]
    assert (claims["sub"], claims["pv"]) == (str(USER), 4)
    assert (claims["roles"], claims["permissions"]) == (["agent"], ["media:read"])


def test_the_check_is_logged_without_the_token(environment: pytest.MonkeyPatch, log: Log) -> None:
    token = issue(SUBJECT).text
    say_alive(SUBJECT)
    authorized(f"Bearer {token}")
    authorized("Bearer no")

    first, second = log.said("token checked")
    assert "refusal" not in first
    assert second["refusal"] == "UNAUTHORIZED"
    assert len(first["gateway_request_id"]) == 16
    assert token not in log.text


def test_keys_that_cannot_be_read_are_503_in_the_envelope(environment: pytest.MonkeyPatch) -> None:
    token = issue(SUBJECT).text
    environment.delenv("JWT_PUBLIC_KEYS")
    environment.setenv("JWT_PUBLIC_KEYS_PARAMETER", "/keys")

    with mock_aws():
        context = authorized(f"Bearer {token}")
    answer = call(get_profile.handler, "GET", "/api/v1/auth/me", authorizer=context)

    assert (answer.status, answer.error["code"]) == (503, "UNAVAILABLE")


def test_keys_are_read_from_a_parameter(environment: pytest.MonkeyPatch) -> None:
    import boto3

    keys = json.loads(os.environ["JWT_PUBLIC_KEYS"])
    token = issue(SUBJECT).text
    environment.delenv("JWT_PUBLIC_KEYS")
    environment.setenv("JWT_PUBLIC_KEYS_PARAMETER", "/keys")

    say_alive(SUBJECT)
    with mock_aws():
        boto3.client("ssm").put_parameter(Name="/keys", Value=json.dumps(keys), Type="String")
        assert authorized(f"Bearer {token}")["claims"]["sub"] == str(USER)
