"""The WebSocket API's authorizer: who gets a connection, and what is said of them."""

import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fieldgate.authorizer import TOKEN_MAX_CHARS
from fieldgate.tokens import Subject, issue
from identity import authorize_connection
from tests.support.forged_tokens import SESSION, USER, encoded, forger, segment
from tests.support.gateway import say_alive
from tests.support.log import Log
from tests.support.ports import free_port

SUBJECT = Subject(USER, ["agent"], ["media:read"], 3, SESSION)
NOW = datetime.now(UTC)
ARN = "arn:aws:execute-api:af-south-1:111122223333:w1x2y3z4/live/$connect"

type Given = Mapping[str, Sequence[str]]


@pytest.fixture(autouse=True)
def deployed(environment: pytest.MonkeyPatch) -> None:
    """Sign and verify with the test's keys; the session of the forged tokens is alive."""
    say_alive(SUBJECT)


def answer(headers: Given | None = None, query: Given | None = None) -> dict[str, Any]:
    """Ask the authorizer; what is given more than once stands in full in the multi-values only."""

    def last(given: Given | None) -> dict[str, str] | None:
        return {name: values[-1] for name, values in given.items()} if given else None

    event = {
        "type": "REQUEST",
        "methodArn": ARN,
        "headers": last(headers),
        "multiValueHeaders": headers,
        "queryStringParameters": last(query),
        "multiValueQueryStringParameters": query,
        "stageVariables": {},
        "requestContext": {"routeKey": "$connect", "eventType": "CONNECT", "connectionId": "A1="},
    }
    found: dict[str, Any] = json.loads(
        json.dumps(authorize_connection.handler(json.loads(json.dumps(event)), None))
    )
    (statement,) = found["policyDocument"]["Statement"]
    assert (statement["Action"], statement["Resource"]) == ("execute-api:Invoke", ARN)
    return found


def is_let_in(headers: Given | None = None, query: Given | None = None) -> bool:
    found = answer(headers, query)
    is_allowed: bool = found["policyDocument"]["Statement"][0]["Effect"] == "Allow"
    assert set(found["context"]) == ({"sub", "sid", "exp"} if is_allowed else set())
    return is_allowed


def bearer(token: str) -> dict[str, list[str]]:
    return {"Authorization": [f"Bearer {token}"]}


def test_who_is_let_in_is_named_in_flat_texts() -> None:
    token = issue(SUBJECT, now=NOW).text

    found = answer(bearer(token))

    assert found["principalId"] == str(USER)
    expires_at = int((NOW + timedelta(hours=1)).timestamp())
    assert found["context"] == {"sub": str(USER), "sid": str(SESSION), "exp": str(expires_at)}


def test_the_token_comes_in_the_header_or_the_address_or_the_same_in_both() -> None:
    token, other = issue(SUBJECT).text, issue(SUBJECT).text

    for name in ("Authorization", "authorization", "AUTHORIZATION"):
        assert is_let_in({name: [f"Bearer {token}"]})
    assert is_let_in({"Authorization": [f"bearer  {token} "]})
    assert is_let_in(query={"access_token": [token]})
    assert is_let_in(bearer(token), {"access_token": [token], "id": ["x"]})
    assert not is_let_in(bearer(token), {"access_token": [other]})
    assert not is_let_in(bearer(other), {"access_token": ["x"]})
    assert not is_let_in(bearer("x"), {"access_token": [token]})
    assert not is_let_in(bearer(token), {"access_token": [""]})
    assert not is_let_in({"Authorization": ["Basic YTpi"]}, {"access_token": [token]})


def test_a_token_given_twice_in_one_place_is_none() -> None:
    token = issue(SUBJECT).text

    assert not is_let_in({"Authorization": [f"Bearer {token}"] * 2})
    assert not is_let_in({"Authorization": [f"Bearer {token}"], "authorization": ["Bearer x"]})
    assert not is_let_in({"Authorization": [f"Bearer {token}, Bearer {token}"]})
    assert not is_let_in(query={"access_token": [token, token]})
    assert not is_let_in(query={"access_token": [token], "Access_Token": ["x"]})


def test_a_gateway_without_multi_values_is_understood() -> None:
    token = issue(SUBJECT).text
    event = {"methodArn": ARN, "headers": {"authorization": f"Bearer {token}"}}
    assert authorize_connection.handler(event, None)["principalId"] == str(USER)


@pytest.mark.parametrize("headers", [None, {}, {"Authorization": [""]}, {"Cookie": ["token=x"]}])
def test_without_a_token_nobody_is_let_in(headers: Given | None) -> None:
    assert not is_let_in(headers)
    assert not is_let_in(headers, {"token": [issue(SUBJECT).text]})


def test_forged_and_expired_tokens_are_refused(signing_keys: tuple[str, str]) -> None:
    forge = forger(signing_keys[0], NOW)
    assert is_let_in(bearer(forge())), "it would be good"
    head, payload, _ = forge().split(".")
    for token in (
        forge(headers={"alg": "none"}),
        f"{segment({'alg': 'none', 'typ': 'at+jwt'})}.{payload}.",
        f"{head}.{payload}.{encoded(b'x' * 256)}",
        f"{head}.{segment({'sub': str(USER)})}.{forge().split('.')[2]}",
        forge(headers={"kid": "another"}),
        forge(headers={"typ": "JWT"}),
        forge(aud="another-app"),
        forge(iss="https://elsewhere.test"),
        forge(sid=None),
        forge(exp=None),
        forge(exp=int(NOW.timestamp()) + 100_000),
        forge(sub="admin"),
        forge(padding="x" * TOKEN_MAX_CHARS),
        issue(SUBJECT, now=NOW - timedelta(minutes=61)).text,
        "\ud800.a.b",
        "x" * 1_000_000,
    ):
        assert not is_let_in(bearer(token))
        assert not is_let_in(query={"access_token": [token]})


def test_a_fault_of_ours_is_a_refusal_and_no_exception(
    environment: pytest.MonkeyPatch, log: Log
) -> None:
    token = issue(SUBJECT).text
    environment.delenv("JWT_PUBLIC_KEYS")

    assert not is_let_in(bearer(token))

    assert "exception" in log.said("token not checked")[0]


def test_without_cache_and_database_nobody_is_let_in(environment: pytest.MonkeyPatch) -> None:
    stranger = Subject(uuid.uuid4(), [], [], 1, uuid.uuid4())
    token = issue(stranger).text
    environment.setenv("DATABASE_URL", f"postgresql://x:y@127.0.0.1:{free_port()}/nowhere")
    environment.setenv("CACHE_URL", f"redis://127.0.0.1:{free_port()}")

    assert not is_let_in(bearer(token))


def test_neither_the_token_nor_the_address_is_logged(log: Log) -> None:
    token, refused = issue(SUBJECT).text, "a-token-that-is-none"
    is_let_in(bearer(token), {"access_token": [token], "private": ["corner"]})
    is_let_in(query={"access_token": [refused]})

    good, bad = log.said("token checked")
    assert good["connection_id"] == "A1="
    assert "refusal" not in good
    assert bad["refusal"] == "UNAUTHORIZED"
    for secret in (token, refused, "corner"):
        assert secret not in log.text
