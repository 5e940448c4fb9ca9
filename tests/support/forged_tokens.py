"""Tokens as an attacker makes them; with the right key, to show what else keeps them out."""

import base64
import json
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

USER = uuid.UUID("018f6f1e-7d3a-7c55-9f3a-0123456789ab")
SESSION = uuid.UUID("018f6f1e-7d3a-7c55-9f3a-0123456789ac")

type Forge = Callable[..., str]


def forger(signing_key: str, now: datetime) -> Forge:
    """Return what signs, with the text of JWT_SIGNING_KEY, a token good from `now` but changed.

    `forge(headers={"alg": "none"}, exp=None)`: None takes a member away.
    """
    key = json.loads(signing_key)
    algorithm = jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256)
    private_key = algorithm.prepare_key(key["privateKey"])
    assert isinstance(private_key, RSAPrivateKey)

    def forge(headers: dict[str, Any] | None = None, **claims: Any) -> str:
        seconds = int(now.timestamp())
        good = {
            "sub": str(USER),
            "sid": str(SESSION),
            "iss": "https://api.fieldgate.test",
            "aud": "fieldgate-app",
            "iat": seconds,
            "nbf": seconds,
            "exp": seconds + 3600,
            "jti": "1",
            "roles": ["agent"],
            "permissions": ["media:read"],
            "pv": 3,
        }
        header = {"alg": "RS256", "kid": key["kid"], "typ": "at+jwt"} | (headers or {})
        text = f"{segment(_without_none(header))}.{segment(_without_none(good | claims))}"
        return f"{text}.{encoded(algorithm.sign(text.encode(), private_key))}"

    return forge


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def segment(content: Any) -> str:
    return encoded(json.dumps(content).encode())


def _without_none(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
