"""Whatever a phone, a portal or an attacker sends: the documented error, and nothing stored."""

import base64
import hashlib
import hmac
import json
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fieldgate.tokens import new_signing_key
from tests.e2e.conftest import Stack, presign, send

PRESIGN = "/api/v1/uploads/presign"
GOOD = {"folder": "farmers", "filename": "leaf.jpg", "contentType": "image/jpeg", "size": 1000}


def error(answer: httpx.Response) -> tuple[int, str]:
    """Return status and code, having seen that the envelope is whole."""
    body = answer.json()
    assert body["success"] is False
    assert body["error"]["message"]
    assert body["meta"]["requestId"] == answer.headers["x-request-id"]
    return answer.status_code, body["error"]["code"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"folder": "secrets"}, (400, "VALIDATION_ERROR")),
        ({"folder": "../farmers"}, (400, "VALIDATION_ERROR")),
        ({"folder": "farmers\0"}, (400, "VALIDATION_ERROR")),
        ({"folder": "f\u0430rmers"}, (400, "VALIDATION_ERROR")),  # a Cyrillic a
        ({"folder": "Farmers"}, (400, "VALIDATION_ERROR")),
        ({"filename": "../leaf.jpg"}, (400, "VALIDATION_ERROR")),
        ({"filename": "leaf\0.jpg"}, (400, "VALIDATION_ERROR")),
        ({"filename": "leaf.php.jpg"}, (400, "VALIDATION_ERROR")),
        ({"filename": "gpj.\u202eleaf.jpg"}, (400, "VALIDATION_ERROR")),  # reads backwards
        ({"filename": "leaf"}, (415, "UNSUPPORTED_MEDIA_TYPE")),
        ({"filename": "leaf.jpg.exe"}, (415, "UNSUPPORTED_MEDIA_TYPE")),
        ({"filename": "leaf.gif"}, (415, "UNSUPPORTED_MEDIA_TYPE")),
        ({"contentType": "text/html"}, (415, "UNSUPPORTED_MEDIA_TYPE")),
        ({"contentType": "image/png"}, (400, "VALIDATION_ERROR")),
        ({"size": 5 * 1024 * 1024 + 1}, (413, "PAYLOAD_TOO_LARGE")),
        ({"size": 0}, (400, "VALIDATION_ERROR")),
        ({"size": -1}, (400, "VALIDATION_ERROR")),
        ({"size": "1000"}, (400, "VALIDATION_ERROR")),
        ({"size": 10**30}, (413, "PAYLOAD_TOO_LARGE")),
        ({"sha256": "abc"}, (400, "VALIDATION_ERROR")),
        ({"sha265": "a misspelt name"}, (400, "VALIDATION_ERROR")),
    ],
    ids=str,
)
def test_a_wrong_wish_is_refused(
    agent: httpx.Client, change: dict[str, Any], expected: tuple[int, str]
) -> None:
    assert error(agent.post(PRESIGN, json=GOOD | change)) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(b"", (400, "VALIDATION_ERROR"), id="empty"),
        pytest.param(b"not json", (400, "VALIDATION_ERROR"), id="text"),
        pytest.param(b"[1, 2]", (400, "VALIDATION_ERROR"), id="a list"),
        pytest.param(b'{"folder": "farmers"', (400, "VALIDATION_ERROR"), id="cut off"),
        pytest.param(b"\xff\xfe", (400, "VALIDATION_ERROR"), id="not UTF-8"),
        pytest.param(b"[" * 60_000, (400, "VALIDATION_ERROR"), id="60,000 deep"),
        pytest.param(
            b'{"a":' * 10_000 + b"1" + b"}" * 10_000, (400, "VALIDATION_ERROR"), id="10,000 deep"
        ),
        pytest.param(b" " * (64 * 1024 + 1), (413, "PAYLOAD_TOO_LARGE"), id="64 KiB and a byte"),
        pytest.param(
            b'{"a": "' + b"x" * 10_485_750 + b'"}', (413, "PAYLOAD_TOO_LARGE"), id="10 MB"
        ),
    ],
)
def test_a_body_that_is_none_is_refused(
    agent: httpx.Client, body: bytes, expected: tuple[int, str]
) -> None:
    headers = {"Content-Type": "application/json"}
    assert error(agent.post(PRESIGN, content=body, headers=headers)) == expected


def test_storage_takes_nothing_but_what_was_signed(agent: httpx.Client) -> None:
    photo = b"\xff\xd8\xff" + b"x" * 997
    upload = presign(agent, photo, sha256=hashlib.sha256(photo).hexdigest())
    other = b"\xff\xd8\xff" + b"y" * 997

    assert send(upload, photo + b"x").status_code == 403
    assert send(upload, photo[:-1]).status_code == 403
    assert send(upload, photo, content_type="image/png").status_code == 403
    assert send(upload, other).status_code == 400
    assert httpx.put(upload["url"].split("?")[0], content=photo).status_code == 403
    elsewhere = upload["url"].replace("/farmers/", "/clients/")
    assert httpx.put(elsewhere, headers=upload["headers"], content=photo).status_code == 403

    media = agent.get(f"/api/v1/media/{upload['mediaId']}").json()["data"]
    assert media["state"] == "pending"


def hmac_signed(header: dict[str, Any], claims: dict[str, Any], key: dict[str, str]) -> str:
    """Sign a token by hand: PyJWT itself declines to take a public key for a shared secret."""
    parts = [json.dumps(part).encode() for part in (header, claims)]
    text = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    pem = jwt.PyJWK(key).key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signature = base64.urlsafe_b64encode(hmac.digest(pem, text, "sha256")).rstrip(b"=")
    return (text + b"." + signature).decode()


def test_only_a_token_of_ours_is_taken(stack: Stack, agent: httpx.Client) -> None:
    good = agent.headers["Authorization"].removeprefix("Bearer ")
    claims = jwt.decode(good, options={"verify_signature": False})
    header = jwt.get_unverified_header(good)
    published = httpx.get(f"{stack.url}/.well-known/jwks.json").json()["keys"][0]
    foreign = json.loads(new_signing_key()[0])

    def forged(key: str, **changes: Any) -> str:
        return jwt.encode(
            claims | changes, key, "RS256", headers={"kid": header["kid"], "typ": "at+jwt"}
        )

    tokens = {
        "none at all": None,
        "garbage": "garbage",
        "alg none": jwt.encode(claims, "", "none", headers=header | {"alg": "none"}),
        "HS256 with the public key": hmac_signed(header | {"alg": "HS256"}, claims, published),
        "another key under our kid": forged(foreign["privateKey"]),
        "a foreign kid": jwt.encode(
            claims, foreign["privateKey"], "RS256", headers={"kid": foreign["kid"]}
        ),
        "tampered": good[:-4] + ("AAAA" if good[-4:] != "AAAA" else "BBBB"),
    }
    for name, token in tokens.items():
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = httpx.get(f"{stack.url}/api/v1/auth/me", headers=headers, timeout=30)
        assert error(answer) == (401, "UNAUTHORIZED"), name


def test_an_unknown_address_is_answered_in_the_envelope(stack: Stack) -> None:
    answer = httpx.post(f"{stack.url}/api/v1/unknown/../../etc/passwd", timeout=30)
    assert error(answer) == (404, "NOT_FOUND")


def test_every_answer_has_its_request_id_and_security_headers(stack: Stack) -> None:
    answer = httpx.get(f"{stack.url}/health/version", headers={"X-Request-Id": "req-12345"})
    assert answer.headers["x-request-id"] == "req-12345"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["strict-transport-security"]
    assert answer.headers["cache-control"] == "no-store"


def test_browsers_of_the_web_app_and_no_others_may_call(stack: Stack) -> None:
    ask = {"Access-Control-Request-Method": "GET"}
    for origin, expected in [("http://localhost:3000", 204), ("https://example.org", 403)]:
        answer = httpx.options(f"{stack.url}/api/v1/media", headers=ask | {"Origin": origin})
        assert answer.status_code == expected
        allowed = answer.headers.get("access-control-allow-origin")
        assert allowed == (origin if expected == 204 else None)
