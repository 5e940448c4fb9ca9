"""The keys of access tokens: changed without an interruption, and never shown."""

import json
import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import boto3
import jwt
import pytest
from aws_lambda_powertools.utilities.parameters import base as parameters
from moto import mock_aws

from fieldgate import settings
from fieldgate.errors import ConfigurationError, Unauthorized
from fieldgate.tokens import Subject, issue, new_signing_key, public_keys, verify
from tests.support.forged_tokens import SESSION, USER, encoded

SUBJECT = Subject(USER, ["agent"], ["media:read"], 3, SESSION)


@pytest.fixture(autouse=True)
def deployed(environment: pytest.MonkeyPatch) -> None:
    """Sign and verify with the test's keys."""


def refuse(token: str) -> None:
    with pytest.raises(Unauthorized):
        verify(token)


def test_while_keys_are_rotated_tokens_of_both_are_good(
    environment: pytest.MonkeyPatch, signing_keys: tuple[str, str]
) -> None:
    before = issue(SUBJECT).text
    following, jwk = new_signing_key()
    both = {"keys": [json.loads(signing_keys[1]), json.loads(jwk)]}

    # Published first, then signed with, then the old one goes: with no deployment in between.
    environment.setenv("JWT_PUBLIC_KEYS", json.dumps(both))
    assert verify(before)
    environment.setenv("JWT_SIGNING_KEY", following)
    after = issue(SUBJECT).text
    assert verify(before)
    assert verify(after)
    environment.setenv("JWT_PUBLIC_KEYS", json.dumps({"keys": [json.loads(jwk)]}))
    assert verify(after)
    refuse(before)


class Store:
    """Both settings where a deployment keeps them; what was read is good for five minutes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.later = timedelta()
        store = self

        class Clock(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> Any:
                return datetime.now(tz) + store.later

        monkeypatch.setattr(parameters, "datetime", Clock)
        for name, where in (("JWT_SIGNING_KEY", "/signing"), ("JWT_PUBLIC_KEYS", "/public")):
            self.write(where, os.environ[name])
            monkeypatch.delenv(name)
            monkeypatch.setenv(f"{name}_PARAMETER", where)

    def write(self, where: str, value: str) -> None:
        ssm = boto3.client("ssm")
        ssm.put_parameter(Name=where, Value=value, Type="SecureString", Overwrite=True)

    def publish(self, *keys: str) -> None:
        self.write("/public", json.dumps({"keys": [json.loads(key) for key in keys]}))


@pytest.fixture
def store(environment: pytest.MonkeyPatch) -> Iterator[Store]:
    with mock_aws():
        yield Store(environment)


def test_keys_are_changed_under_running_functions(
    store: Store, signing_keys: tuple[str, str]
) -> None:
    """As docs/operations.md has it: publish, sign, and take the old one away; no deployment."""
    old_private, old_public = signing_keys
    new_private, new_public = new_signing_key()
    before = issue(SUBJECT).text
    assert verify(before)

    store.publish(old_public, new_public)
    store.write("/signing", new_private)
    assert kid_of(issue(SUBJECT).text) == json.loads(old_private)["kid"]
    store.later = timedelta(minutes=5, seconds=1)
    after = issue(SUBJECT).text
    assert kid_of(after) == json.loads(new_private)["kid"]
    assert verify(before)
    assert verify(after)
    assert [key["kid"] for key in public_keys()["keys"]] == [
        json.loads(key)["kid"] for key in (old_public, new_public)
    ]

    store.publish(new_public)
    store.later *= 2
    assert verify(after)
    refuse(before)


def kid_of(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


@pytest.mark.parametrize("name", ["JWT_SIGNING_KEY", "JWT_PUBLIC_KEYS", "JWT_ISSUER"])
def test_a_missing_setting_is_named(environment: pytest.MonkeyPatch, name: str) -> None:
    token = issue(SUBJECT).text
    environment.delenv(name)
    settings.forget()

    with pytest.raises(ConfigurationError, match=f"{name} is not set"):
        verify(issue(SUBJECT).text if name == "JWT_SIGNING_KEY" else token)


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "1",
        "null",
        "x",
        "{}",
        '{"keys": []}',
        '{"keys": 7}',
        '{"keys": [7]}',
        '{"keys": [{"kty": "RSA"}]}',
    ],
)
def test_a_key_set_that_is_none_is_named_and_not_shown(
    environment: pytest.MonkeyPatch, text: str
) -> None:
    token = issue(SUBJECT).text
    environment.setenv("JWT_PUBLIC_KEYS", text)

    with pytest.raises(ConfigurationError) as refusal:
        verify(token)
    assert str(refusal.value) == "JWT_PUBLIC_KEYS is not a JSON Web Key Set"


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "[]",
        "{}",
        '{"kid": "a"}',
        '{"kid": "a", "privateKey": "hunter2"}',
        '{"kid": "a", "privateKey": 7}',
    ],
)
def test_a_signing_key_that_is_none_is_named_and_not_shown(
    environment: pytest.MonkeyPatch, text: str
) -> None:
    environment.setenv("JWT_SIGNING_KEY", text)

    with pytest.raises(ConfigurationError) as refusal:
        issue(SUBJECT)
    assert str(refusal.value) == 'JWT_SIGNING_KEY is not {"kid", "privateKey"}'


def test_a_shared_secret_in_the_key_set_verifies_nothing(
    environment: pytest.MonkeyPatch, signing_keys: tuple[str, str]
) -> None:
    secret = {"kty": "oct", "kid": "shared", "alg": "HS256", "k": encoded(b"s" * 32)}
    environment.setenv(
        "JWT_PUBLIC_KEYS", json.dumps({"keys": [json.loads(signing_keys[1]), secret]})
    )
    headers = {"kid": "shared", "typ": "at+jwt"}
    good = issue(SUBJECT).text

    refuse(jwt.encode(verify(good), b"s" * 32, algorithm="HS256", headers=headers))
    assert [key["kty"] for key in public_keys()["keys"]] == ["RSA"]


@pytest.fixture
def careless(environment: pytest.MonkeyPatch, signing_keys: tuple[str, str]) -> None:
    """Put the private key where only public ones belong."""
    key = json.loads(signing_keys[0])
    algorithm = jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256)
    whole = algorithm.to_jwk(algorithm.prepare_key(key["privateKey"]), as_dict=True)
    assert "d" in whole
    environment.setenv("JWT_PUBLIC_KEYS", json.dumps({"keys": [whole | {"kid": key["kid"]}]}))


@pytest.mark.usefixtures("careless")
def test_of_a_private_key_in_the_set_only_the_public_part_is_published() -> None:
    (key,) = public_keys()["keys"]

    assert set(key) == {"kty", "key_ops", "n", "e", "kid", "use", "alg"}


@pytest.mark.usefixtures("careless")
def test_a_private_key_in_the_set_still_verifies() -> None:
    assert verify(issue(SUBJECT).text)["sub"] == str(USER)


def test_the_lifetime_is_a_setting(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ACCESS_TOKEN_MINUTES", "5")
    settings.forget()

    claims = verify(issue(SUBJECT).text)
    assert claims["exp"] - claims["iat"] == 300


def test_a_foreign_key_is_refused_under_its_own_name_and_under_ours(
    environment: pytest.MonkeyPatch, signing_keys: tuple[str, str]
) -> None:
    kid = json.loads(signing_keys[0])["kid"]
    foreign = json.loads(new_signing_key()[0])
    for name in (foreign["kid"], kid):
        environment.setenv("JWT_SIGNING_KEY", json.dumps(foreign | {"kid": name}))
        refuse(issue(SUBJECT).text)
