"""Access tokens: RS256 JSON Web Tokens (RFC 7519, RFC 9068), keys told apart by `kid`.

Two settings hold the keys, each from the environment, Secrets Manager or SSM (see settings):
`JWT_SIGNING_KEY` is the private key, a JSON object {"kid", "privateKey" (PEM)};
`JWT_PUBLIC_KEYS` is the published JSON Web Key Set (RFC 7517), every key a verifier may accept.
"""

import json
import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

import jwt

from fieldgate.errors import ConfigurationError, TokenExpired, Unauthorized
from fieldgate.settings import Settings, load, lookup

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

ALGORITHM = "RS256"
# RFC 9068: keeps any other token we may ever sign from passing as an access token.
TOKEN_TYPE = "at+jwt"  # noqa: S105 a media type, not a secret
REQUIRED_CLAIMS = ["sub", "sid", "iss", "aud", "exp", "nbf", "iat", "jti", "pv"]
CLOCK_LEEWAY = timedelta(seconds=5)
MIN_KEY_BITS = 2048

# RFC 7515's compact form, which has no padding; PyJWT would let some by.
_COMPACT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
# What PyJWT and the JSON parser raise over a hostile token.
_UNREADABLE = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)


class TokenSettings(Settings):
    """Who issues, for whom, and for how long a token is good."""

    jwt_issuer: str
    jwt_audience: str
    access_token_minutes: int = 60


@dataclass(frozen=True)
class Subject:
    """Who a token is about, and which of their sessions it belongs to."""

    user_id: UUID
    roles: Iterable[str]
    permissions: Iterable[str]
    permission_version: int
    session_id: UUID


@dataclass(frozen=True)
class AccessToken:
    text: str
    expires_in: timedelta


def issue(subject: Subject, *, now: datetime | None = None) -> AccessToken:
    """Sign an access token for `subject`, good for `ACCESS_TOKEN_MINUTES` from `now`."""
    settings = load(TokenSettings)
    now = now or datetime.now(UTC)
    lifetime = timedelta(minutes=settings.access_token_minutes)
    claims = {
        "sub": str(subject.user_id),
        "sid": str(subject.session_id),
        "iss": settings.jwt_issuer,
        "aud": settings.jwt_audience,
        "iat": now,
        "nbf": now,
        "exp": now + lifetime,
        "jti": str(uuid.uuid4()),
        "roles": sorted(subject.roles),
        "permissions": sorted(subject.permissions),
        "pv": subject.permission_version,
    }
    kid, private_key = _signing_key(_setting("JWT_SIGNING_KEY"))
    headers = {"kid": kid, "typ": TOKEN_TYPE}
    text = jwt.encode(claims, private_key, algorithm=ALGORITHM, headers=headers)
    return AccessToken(text, lifetime)


def check_signing() -> None:
    """Raise what `issue` raises when it can't sign, before something is done for good."""
    load(TokenSettings)
    _signing_key(_setting("JWT_SIGNING_KEY"))


def verify(token: str) -> dict[str, Any]:
    """Return the claims of a good access token.

    The algorithm is ours to choose, never the token's; keys named by `jku`, `x5u` or `jwk` inside
    a token are not looked at (RFC 8725, sections 3.1 and 3.10).

    Raises:
        TokenExpired: it was good once.
        Unauthorized: anything else is wrong with it.

    """
    settings = load(TokenSettings)
    if not _COMPACT.fullmatch(token):
        raise Unauthorized("A valid access token is needed.")
    try:
        header = jwt.get_unverified_header(token)
        key = _public_keys(_setting("JWT_PUBLIC_KEYS")).get(header.get("kid", ""))
        if key is None or str(header.get("typ", "")).lower() != TOKEN_TYPE:
            raise Unauthorized("A valid access token is needed.")
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            audience=settings.jwt_audience,
            issuer=settings.jwt_issuer,
            leeway=CLOCK_LEEWAY,
            options={"require": REQUIRED_CLAIMS, "strict_aud": True},
        )
        lifetime = claims["exp"] - claims["iat"]
        _check_ids(claims)
    except jwt.ExpiredSignatureError:
        raise TokenExpired("The access token has expired.") from None
    except _UNREADABLE:
        raise Unauthorized("A valid access token is needed.") from None
    if lifetime > settings.access_token_minutes * 60:
        # Nothing of ours lives longer: whoever signed this had the key and not the rules.
        raise Unauthorized("A valid access token is needed.")
    return claims


def public_keys() -> dict[str, Any]:
    """Return the JSON Web Key Set to publish: public parts only, whatever the setting holds."""
    keys = _public_keys(_setting("JWT_PUBLIC_KEYS"))
    return {"keys": [_jwk(kid, key) for kid, key in keys.items()]}


def new_signing_key() -> tuple[str, str]:
    """Make a key pair.

    Returns:
        The text for `JWT_SIGNING_KEY`, and the JSON Web Key that `JWT_PUBLIC_KEYS` must list.

    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    private_key = rsa.generate_private_key(public_exponent=65537, key_size=MIN_KEY_BITS)
    pem = private_key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    kid = uuid.uuid4().hex
    jwk = _jwk(kid, private_key.public_key())
    return json.dumps({"kid": kid, "privateKey": pem}), json.dumps(jwk)


def _setting(name: str) -> str:
    # Not kept by load(): Powertools re-reads it after five minutes, so a rotation needs no deploy.
    value = lookup(name)
    if not value:
        raise ConfigurationError(f"{name} is not set")
    return value


@lru_cache(maxsize=2)
def _signing_key(text: str) -> tuple[str, Any]:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        parsed = json.loads(text)
        return str(parsed["kid"]), load_pem_private_key(parsed["privateKey"].encode(), None)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigurationError('JWT_SIGNING_KEY is not {"kid", "privateKey"}') from None


@lru_cache(maxsize=2)
def _public_keys(text: str) -> "dict[str, RSAPublicKey]":
    """Return the RSA keys of the set by `kid`; of a private key that got there, its public part."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

    try:
        keys = jwt.PyJWKSet.from_json(text).keys
    except (ValueError, TypeError, AttributeError, jwt.PyJWTError):
        raise ConfigurationError("JWT_PUBLIC_KEYS is not a JSON Web Key Set") from None
    found = {}
    for key in keys:
        public = key.key.public_key() if isinstance(key.key, RSAPrivateKey) else key.key
        if key.key_id and isinstance(public, RSAPublicKey):
            found[key.key_id] = public
    return found


def _check_ids(claims: dict[str, Any]) -> None:
    """Raise ValueError when they are not as `issue` writes them."""
    for name in ("sub", "sid"):
        if str(UUID(str(claims[name]))) != claims[name]:
            raise ValueError(name)
    if type(claims["pv"]) is not int:
        raise ValueError("pv")


def _jwk(kid: str, key: "RSAPublicKey") -> dict[str, Any]:
    public: dict[str, Any] = jwt.algorithms.RSAAlgorithm.to_jwk(key, as_dict=True)
    return public | {"kid": kid, "use": "sig", "alg": ALGORITHM}
