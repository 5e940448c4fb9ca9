"""Access tokens: what is signed, and the many ways not to get in."""

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fieldgate.authorizer import TOKEN_MAX_CHARS
from fieldgate.errors import TokenExpired, Unauthorized
from fieldgate.tokens import Subject, issue, new_signing_key, verify
from identity.sessions import RefreshToken
from tests.support.forged_tokens import SESSION, USER, Forge, encoded, forger, segment
from tests.support.gateway import authorized, say_alive

SUBJECT = Subject(USER, ["b", "a"], ["media:write", "media:read"], 3, SESSION)
NOW = datetime.now(UTC)

in_any_test = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300
)


@pytest.fixture(autouse=True)
def deployed(environment: pytest.MonkeyPatch) -> None:
    """Sign and verify with the test's keys."""


@pytest.fixture
def kid(signing_keys: tuple[str, str]) -> str:
    return str(json.loads(signing_keys[0])["kid"])


@pytest.fixture
def private_key(signing_keys: tuple[str, str]) -> str:
    return str(json.loads(signing_keys[0])["privateKey"])


@pytest.fixture
def forge(signing_keys: tuple[str, str]) -> Forge:
    return forger(signing_keys[0], NOW)


def refuse(token: str) -> None:
    """Assert that `token` is refused, and that the authorizer says so and no more."""
    with pytest.raises(Unauthorized) as refusal:
        verify(token)
    assert type(refusal.value) is Unauthorized
    assert refusal.value.message == "A valid access token is needed."
    assert authorized(f"Bearer {token}") == {"failure": "UNAUTHORIZED"}


def test_an_issued_token_says_who_and_what_they_may() -> None:
    token = issue(SUBJECT)
    claims = verify(token.text)

    assert (claims["sub"], claims["sid"]) == (str(USER), str(SESSION))
    assert claims["roles"] == ["a", "b"]
    assert claims["permissions"] == ["media:read", "media:write"]
    assert claims["pv"] == 3
    assert claims["exp"] - claims["iat"] == 3600
    assert token.expires_in == timedelta(hours=1)


def test_a_token_names_its_key_and_its_type(kid: str) -> None:
    header = jwt.get_unverified_header(issue(SUBJECT).text)

    assert header == {"alg": "RS256", "kid": kid, "typ": "at+jwt"}


def test_two_tokens_are_never_the_same() -> None:
    assert issue(SUBJECT, now=NOW).text != issue(SUBJECT, now=NOW).text


def test_the_forged_token_of_these_tests_would_be_good(forge: Forge) -> None:
    assert verify(forge())["sub"] == str(USER)


def test_the_scheme_may_be_written_in_any_case_and_spaced() -> None:
    say_alive(SUBJECT)
    token = issue(SUBJECT).text

    for header in (f"Bearer {token}", f"bearer {token}", f"BEARER  {token} "):
        assert authorized(header)["claims"]["sub"] == str(USER)


@pytest.mark.parametrize(
    "header", [None, "", " ", "Bearer", "Bearer ", "Basic YTpi", "token", "Bearer\ta.b.c"]
)
def test_without_a_bearer_token_there_is_no_caller(header: str | None) -> None:
    assert authorized(header) == {"failure": "UNAUTHORIZED"}


@pytest.mark.parametrize(
    "token",
    [
        "x",
        ".",
        "..",
        "...",
        "a.b.c",
        "a.b.c.d.e",
        "\0",
        "\N{SNOWMAN}.\N{SNOWMAN}.\N{SNOWMAN}",
        "\ud800.a.b",
        "null.null.null",
        "W10.W10.W10",
        f"{encoded(b'[]')}.{encoded(b'{}')}.x",
        f"{encoded(b'1')}.{encoded(b'{}')}.x",
        f"{encoded(b'null')}.{encoded(b'{}')}.x",
        f"{encoded(b'{}')}.{encoded(b'{}')}.",
        f"{encoded(b'[' * 4000)}.{encoded(b'{}')}.x",
    ],
)
def test_garbage_is_refused(token: str) -> None:
    refuse(token)


@pytest.mark.parametrize(
    "token", ["x" * TOKEN_MAX_CHARS * 100, encoded(b"[" * 1_000_000) + ".e30.x"]
)
def test_a_huge_token_is_refused(token: str) -> None:
    refuse(token)


def test_a_token_over_the_limit_is_not_even_read(forge: Forge) -> None:
    token = forge(padding="x" * TOKEN_MAX_CHARS)

    assert verify(token)["sub"] == str(USER)
    assert authorized(f"Bearer {token}") == {"failure": "UNAUTHORIZED"}


def test_an_expired_token_is_told_apart() -> None:
    token = issue(SUBJECT, now=NOW - timedelta(minutes=61)).text

    with pytest.raises(TokenExpired):
        verify(token)
    assert authorized(f"Bearer {token}") == {"failure": "TOKEN_EXPIRED"}


def test_expiry_allows_for_five_seconds_of_clocks_apart(forge: Forge) -> None:
    seconds = int(datetime.now(UTC).timestamp())

    assert verify(forge(exp=seconds - 2, iat=seconds - 60, nbf=seconds - 60))
    with pytest.raises(TokenExpired):
        verify(forge(exp=seconds - 6, iat=seconds - 60, nbf=seconds - 60))


@pytest.mark.parametrize("none", ["none", "None", "NONE", "nOnE", "none ", ""])
@pytest.mark.parametrize("signature", ["", "c2lnbmVk", None])
def test_an_unsigned_token_is_refused_in_every_casing(
    forge: Forge, none: str, signature: str | None
) -> None:
    header, payload, good = forge(headers={"alg": none}).split(".")

    refuse(f"{header}.{payload}.{good if signature is None else signature}")


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize("spelling", ["pem", "pem without newline", "jwk", "n", "nothing"])
def test_the_public_key_is_no_shared_secret(
    forge: Forge, signing_keys: tuple[str, str], algorithm: str, spelling: str
) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    jwk = json.loads(signing_keys[1])
    pem = jwt.PyJWK(jwk).key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    secret = {
        "pem": pem,
        "pem without newline": pem.strip(),
        "jwk": signing_keys[1].encode(),
        "n": jwk["n"].encode(),
        "nothing": b"",
    }[spelling]
    text = forge(headers={"alg": algorithm}).rpartition(".")[0]
    digest = hmac.digest(secret, text.encode(), getattr(hashlib, f"sha{algorithm[2:]}"))

    refuse(f"{text}.{encoded(digest)}")


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
def test_the_algorithm_is_not_the_tokens_to_choose(
    kid: str, private_key: str, algorithm: str
) -> None:
    claims = verify(issue(SUBJECT).text)
    headers = {"kid": kid, "typ": "at+jwt"}

    refuse(jwt.encode(claims, private_key, algorithm=algorithm, headers=headers))


@pytest.mark.parametrize(
    "foreign",
    [
        None,
        "",
        "unknown",
        "../../../../dev/null",
        "/dev/null",
        "file:///dev/null",
        "' OR '1'='1",
        "x' UNION SELECT 'secret'--",
        "https://attacker.test/jwks.json",
        "http://169.254.169.254/latest/meta-data",
        "a\0b",
        "\N{SNOWMAN}",
        "x" * 5000,
        0,
        1.5,
        True,
        [],
        ["a"],
        {},
        {"$ne": None},
    ],
)
def test_a_kid_that_names_no_key_of_ours_is_refused(forge: Forge, foreign: Any) -> None:
    refuse(forge(headers={"kid": foreign}))


def test_keys_that_a_token_brings_along_are_not_looked_at(
    environment: pytest.MonkeyPatch, forge: Forge, kid: str
) -> None:
    foreign, jwk = new_signing_key()
    headers = {
        "kid": kid,
        "typ": "at+jwt",
        "jwk": json.loads(jwk),
        "jku": "https://attacker.test/jwks.json",
        "x5u": "https://attacker.test/cert.pem",
        "x5c": ["MIIB"],
    }
    pem = json.loads(foreign)["privateKey"]

    refuse(jwt.encode(verify(forge()), pem, algorithm="RS256", headers=headers))
    assert verify(forge(headers=headers))["sub"] == str(USER)


def test_critical_extensions_we_do_not_know_are_refused(forge: Forge) -> None:
    refuse(forge(headers={"crit": ["b64"], "b64": False}))


@pytest.mark.parametrize("kind", [None, "JWT", "jwt", "at", "refresh+jwt", "", 7, ["at+jwt"]])
def test_a_token_of_another_type_is_refused(forge: Forge, kind: Any) -> None:
    refuse(forge(headers={"typ": kind}))


@pytest.mark.parametrize("kind", ["at+jwt", "AT+JWT"])
def test_the_type_is_a_media_type_and_has_no_case(forge: Forge, kind: str) -> None:
    assert verify(forge(headers={"typ": kind}))


SECONDS = int(NOW.timestamp())


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": None},
        {"iss": None},
        {"aud": None},
        {"exp": None},
        {"nbf": None},
        {"iat": None},
        {"jti": None},
        {"sid": None},
        {"sid": ""},
        {"sid": 7},
        {"sid": "1"},
        {"sid": "x' OR '1'='1"},
        {"sid": str(SESSION).upper()},
        {"sid": f"{{{SESSION}}}"},
        {"sid": [str(SESSION)]},
        {"sub": "7"},
        {"sub": str(USER).upper()},
        {"pv": None},
        {"pv": "3"},
        {"pv": 3.0},
        {"pv": True},
        {"sub": 7},
        {"jti": 7},
        {"aud": "another-app"},
        {"aud": ""},
        {"aud": ["fieldgate-app"]},
        {"aud": ["fieldgate-app", "another-app"]},
        {"aud": []},
        {"aud": {"fieldgate-app": 1}},
        {"iss": "https://attacker.test"},
        {"iss": "https://api.fieldgate.test/"},
        {"iss": ["https://api.fieldgate.test"]},
        {"nbf": SECONDS + 86_400},
        {"iat": SECONDS + 86_400, "exp": SECONDS + 86_500},
        {"exp": SECONDS + 3601},
        {"exp": SECONDS + 10 * 365 * 86400},
        {"iat": 0, "exp": SECONDS + 3600},
        {"exp": "soon"},
        {"exp": str(SECONDS + 60)},
        {"iat": str(SECONDS)},
        {"exp": [SECONDS + 60]},
        {"exp": float("inf")},
        {"exp": float("nan")},
        {"iat": float("-inf")},
        {"nbf": float("inf")},
        {"nbf": "now"},
        {"exp": 10**400},
        {"exp": True},
    ],
)
def test_wrong_claims_are_refused_even_when_signed_with_our_key(
    forge: Forge, claims: dict[str, Any]
) -> None:
    with pytest.raises(Unauthorized):
        verify(forge(**claims))


@pytest.mark.parametrize("payload", [b"[]", b"1", b"null", b"", b"{", b"\xff", b"[" * 200_000])
def test_a_payload_that_is_no_object_is_refused_even_when_signed(
    private_key: str, kid: str, payload: bytes
) -> None:
    headers = {"kid": kid, "typ": "at+jwt"}

    with pytest.raises(Unauthorized):
        verify(jwt.api_jws.encode(payload, private_key, algorithm="RS256", headers=headers))


def test_a_refresh_token_is_no_access_token() -> None:
    refuse(RefreshToken.first(SESSION).text)


def test_another_payload_under_the_same_signature_is_refused(forge: Forge) -> None:
    header, _, signature = forge().split(".")
    payload = forge(roles=["admin"]).split(".")[1]

    refuse(f"{header}.{payload}.{signature}")


@pytest.mark.parametrize("change", ["{}=", "{}==", "{} ", " {}", "{}\n", "{}.", ".{}", "{}!"])
def test_a_token_has_one_spelling(forge: Forge, change: str) -> None:
    with pytest.raises(Unauthorized):
        verify(change.format(forge()))


def test_no_signature_and_half_of_one_are_refused(forge: Forge) -> None:
    text, _, signature = forge().rpartition(".")

    refuse(f"{text}.")
    refuse(text)
    refuse(f"{text}.{signature[:171]}")
    refuse(f"{text}.{signature}{signature}")


@in_any_test
@given(data=st.data())
def test_a_mutated_token_is_refused_and_never_an_error(data: st.DataObject) -> None:
    token = issue(SUBJECT, now=NOW).text
    place = data.draw(st.integers(0, len(token)), "place")
    removed = data.draw(st.integers(0, 4), "removed")
    inserted = data.draw(st.text("abcXYZ019-_=.+/ !", max_size=4) | st.text(max_size=3), "inserted")
    mutated = token[:place] + inserted + token[place + removed :]

    if mutated != token:
        with pytest.raises(Unauthorized):
            verify(mutated)


@in_any_test
@given(
    header=st.dictionaries(
        st.sampled_from(["alg", "kid", "typ", "crit", "b64", "zip", "x"]),
        st.none() | st.integers() | st.text() | st.lists(st.text()) | st.just("at+jwt"),
    ),
    payload=st.binary(max_size=50),
    signature=st.binary(max_size=50),
)
def test_an_invented_token_is_refused_and_never_an_error(
    header: dict[str, Any], payload: bytes, signature: bytes
) -> None:
    token = f"{segment(header)}.{encoded(payload)}.{encoded(signature)}"

    with pytest.raises(Unauthorized):
        verify(token)


@in_any_test
@given(st.text(max_size=200))
def test_no_text_whatever_is_an_error(text: str) -> None:
    assert authorized(text)["failure"] == "UNAUTHORIZED"
    assert authorized(f"Bearer {text}")["failure"] == "UNAUTHORIZED"
