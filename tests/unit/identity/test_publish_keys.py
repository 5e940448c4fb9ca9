"""The published key set: enough to verify our tokens with, and no more."""

import json
import os
import uuid

import jwt
import pytest

from fieldgate.tokens import Subject, issue
from identity import publish_keys
from tests.support.gateway import Answer, call

PATH = "/.well-known/jwks.json"


def published() -> Answer:
    return call(publish_keys.handler, "GET", PATH)


def test_a_stranger_can_verify_our_tokens_with_it(environment: pytest.MonkeyPatch) -> None:
    token = issue(Subject(uuid.UUID(int=1), ["agent"], [], 1, uuid.UUID(int=2))).text

    keys = jwt.PyJWKSet.from_dict(published().json())
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, key, algorithms=["RS256"], audience="fieldgate-app")

    assert claims["roles"] == ["agent"]


def test_it_is_bare_public_and_may_be_kept(environment: pytest.MonkeyPatch) -> None:
    answer = published()

    assert answer.status == 200
    assert set(answer.json()) == {"keys"}
    assert answer.headers["cache-control"] == "public, max-age=300"
    assert answer.headers["content-type"] == "application/json"


def test_no_private_part_is_published_even_if_the_setting_holds_one(
    environment: pytest.MonkeyPatch, signing_keys: tuple[str, str]
) -> None:
    signing = json.loads(signing_keys[0])
    algorithm = jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256)
    whole = algorithm.to_jwk(algorithm.prepare_key(signing["privateKey"]), as_dict=True)
    keys = {"keys": [whole | {"kid": signing["kid"], "note": "internal"}]}
    environment.setenv("JWT_PUBLIC_KEYS", json.dumps(keys))

    (key,) = published().json()["keys"]

    assert set(key) == {"kty", "key_ops", "n", "e", "kid", "use", "alg"}
    assert whole["d"] not in json.dumps(key)


def test_only_keys_that_verify_our_tokens_are_published(environment: pytest.MonkeyPatch) -> None:
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

    good = json.loads(os.environ["JWT_PUBLIC_KEYS"])["keys"]
    curve = jwt.algorithms.ECAlgorithm.to_jwk(
        generate_private_key(SECP256R1()).public_key(), as_dict=True
    )
    secret = {"kty": "oct", "kid": "s", "k": "c2VjcmV0"}
    keys = {"keys": [*good, curve | {"kid": "c"}, secret]}
    environment.setenv("JWT_PUBLIC_KEYS", json.dumps(keys))

    answer = published()

    assert [key["kid"] for key in answer.json()["keys"]] == [good[0]["kid"]]
    assert b"c2VjcmV0" not in answer.body


@pytest.mark.parametrize("text", ["", "not a key set hunter2"])
def test_a_wrong_setting_is_a_500_that_shows_nothing(
    environment: pytest.MonkeyPatch, text: str
) -> None:
    environment.setenv("JWT_PUBLIC_KEYS", text)
    answer = published()

    assert (answer.status, answer.error["code"]) == (500, "INTERNAL_ERROR")
    assert b"hunter2" not in answer.body
    assert b"JWT_PUBLIC_KEYS" not in answer.body
