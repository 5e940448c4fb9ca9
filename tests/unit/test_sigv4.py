"""Signatures in headers, held against botocore's own signer; those in URLs: storage/."""

from datetime import UTC, datetime

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from hypothesis import given
from hypothesis import strategies as st

from fieldgate.sigv4 import Credentials, signed_headers
from realtime.endpoint import connection_url

NOW = datetime(2026, 3, 10, 7, 8, 9, 654321, tzinfo=UTC)
LASTING = Credentials("AKIAFIELDGATE", "a-secret/of+tests")
TEMPORARY = Credentials("ASIAFIELDGATE", "a-secret/of+tests", "session+token/==")
AWS = "https://a1b2c3.execute-api.af-south-1.amazonaws.com/live"
LOCAL = "http://127.0.0.1:4566/_aws/execute-api/a1b2c3/live"


@pytest.fixture(autouse=True)
def _botocore_at_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: NOW)


def _signed(method: str, url: str, body: bytes, credentials: Credentials) -> dict[str, str]:
    return signed_headers(
        method,
        url,
        body,
        service="execute-api",
        region="af-south-1",
        credentials=credentials,
        now=NOW,
    )


def _signed_by_botocore(
    method: str, url: str, body: bytes, credentials: Credentials
) -> dict[str, str]:
    keys = BotocoreCredentials(
        credentials.access_key, credentials.secret_key, credentials.token or None
    )
    request = AWSRequest(method, url, data=body)
    SigV4Auth(keys, "execute-api", "af-south-1").add_auth(request)
    return dict(request.headers.items())


@pytest.mark.parametrize("endpoint", [AWS, LOCAL])
@pytest.mark.parametrize("credentials", [LASTING, TEMPORARY], ids=["lasting", "temporary"])
@pytest.mark.parametrize(("method", "body"), [("POST", b'{"type":6}\x1e'), ("DELETE", b"")])
def test_a_request_is_signed_as_botocore_signs_it(
    endpoint: str, credentials: Credentials, method: str, body: bytes
) -> None:
    # Such ids are encoded in the URL, and once more in the signature.
    url = connection_url(endpoint, "L0SM9cOFvHcCIhw=")
    assert url.endswith("/@connections/L0SM9cOFvHcCIhw%3D")

    signed = _signed(method, url, body, credentials)

    assert signed == _signed_by_botocore(method, url, body, credentials)


@pytest.mark.parametrize(
    "origin",
    [
        "https://example.org",
        "https://Example.org:443",
        "http://example.org:80",
        "https://example.org:80",
        "http://[::1]:8080",
        "https://user:password@example.org",
    ],
)
def test_the_host_is_signed_as_clients_name_it(origin: str) -> None:
    for url in (origin, f"{origin}/"):
        signed = _signed("POST", url, b"", LASTING)
        assert signed == _signed_by_botocore("POST", url, b"", LASTING)


# Paths with empty or dotted segments are none of ours, and some clients change them.
@given(
    connection_id=st.text(st.characters(exclude_categories=["C"]), min_size=1).filter(
        lambda text: text not in {".", ".."}
    ),
    body=st.binary(),
)
def test_any_id_and_any_body_are_signed_as_botocore_signs_them(
    connection_id: str, body: bytes
) -> None:
    url = connection_url(AWS, connection_id)
    # Hypothesis runs this often within one fixture.
    assert _signed("POST", url, body, LASTING) == _signed_by_botocore("POST", url, body, LASTING)


def test_a_secret_does_not_show() -> None:
    assert "a-secret" not in repr(TEMPORARY)
    assert "session" not in repr(TEMPORARY)
