"""Presigned URLs, held against botocore's own signer."""

import base64
import hashlib
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import boto3
import pytest
from botocore.config import Config
from hypothesis import given
from hypothesis import strategies as st

from fieldgate.sigv4 import Credentials
from fieldgate.storage.s3 import S3Storage
from fieldgate.storage.settings import Place

NOW = datetime(2026, 3, 10, 7, 8, 9, 654321, tzinfo=UTC)
HOUR = timedelta(hours=1)
DIGEST = hashlib.sha256(b"photo").digest()
LASTING = Credentials("AKIAFIELDGATE", "a-secret/of+tests")
TEMPORARY = Credentials("ASIAFIELDGATE", "a-secret/of+tests", "session+token/==")
AWS = Place("originals", "eu-west-1", "", "", path_style=False)
AWS_PATHS = Place("media.example.org", "af-south-1", "", "", path_style=True)
SPACES_URL = "https://nyc3.digitaloceanspaces.com"
SPACES = Place("almafrica", "nyc3", SPACES_URL, SPACES_URL, path_style=True)
LOCAL_URL = "http://127.0.0.1:8081"
LOCAL = Place("originals", "us-east-1", LOCAL_URL, LOCAL_URL, path_style=True)
PLACES = [AWS, AWS_PATHS, SPACES, LOCAL]

segments = st.text(
    st.characters(exclude_categories=["C", "Z"], exclude_characters="/") | st.just(" "),
    min_size=1,
    max_size=20,
).filter(lambda segment: segment not in {".", ".."})
keys = st.lists(segments, min_size=1, max_size=4).map("/".join)


def _storage(place: Place = AWS, credentials: Credentials = LASTING) -> S3Storage:
    return S3Storage(place, credentials, clock=lambda: NOW)


@pytest.fixture
def botocore_at_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: NOW)


def _boto3_url(place: Place, credentials: Credentials, operation: str, **parameters: object) -> str:
    client = boto3.client(
        "s3",
        region_name=place.region,
        endpoint_url=place.endpoint or f"https://s3.{place.region}.amazonaws.com",
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        aws_session_token=credentials.token or None,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path" if place.path_style else "virtual"},
            request_checksum_calculation="when_required",
        ),
    )
    parameters |= {"Bucket": place.bucket}
    return client.generate_presigned_url(operation, Params=parameters, ExpiresIn=3600)


@pytest.mark.usefixtures("botocore_at_now")
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.bucket)
@pytest.mark.parametrize("credentials", [LASTING, TEMPORARY], ids=["lasting", "temporary"])
@pytest.mark.parametrize("sha256", [DIGEST, None], ids=["sha256", "no sha256"])
def test_an_upload_is_signed_as_boto3_signs_it(
    place: Place, credentials: Credentials, sha256: bytes | None
) -> None:
    key = "farmers/a b+c%20~ñ農(1)!.jpg"
    checksum = {"ChecksumSHA256": base64.b64encode(sha256).decode()} if sha256 else {}

    upload = _storage(place, credentials).presign_put(
        key, content_type="image/jpeg", content_length=5, sha256=sha256, expires_in=HOUR
    )

    expected = _boto3_url(
        place,
        credentials,
        "put_object",
        Key=key,
        ContentType="image/jpeg",
        ContentLength=5,
        **checksum,
    )
    assert _parts(upload.url) == _parts(expected)


@pytest.mark.usefixtures("botocore_at_now")
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.bucket)
def test_a_download_is_signed_as_boto3_signs_it(place: Place) -> None:
    disposition = "attachment; filename*=UTF-8''Hati%20%C3%B1.pdf"
    expected = _boto3_url(
        place, LASTING, "get_object", Key="a b.pdf", ResponseContentDisposition=disposition
    )

    url = _storage(place).presign_get("a b.pdf", expires_in=HOUR, download_as="Hati ñ.pdf")

    assert _parts(url) == _parts(expected)


def _parts(url: str) -> tuple[str, str, set[str]]:
    """Origin and path as they are written, and the query: its order means nothing."""
    address, _, query = url.partition("?")
    origin, _, path = address.partition("/")
    return origin, path, set(query.split("&"))


@given(key=keys)
def test_every_key_survives_the_url_and_is_signed_as_botocore_does(key: str) -> None:
    from botocore.auth import S3SigV4QueryAuth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials as BotocoreCredentials

    upload = _storage(LOCAL).presign_put(
        key, content_type="image/png", content_length=1, expires_in=HOUR
    )

    url = urlsplit(upload.url)
    query = dict(parse_qsl(url.query))
    assert unquote(url.path) == f"/originals/{key}"
    signer = S3SigV4QueryAuth(
        BotocoreCredentials(LASTING.access_key, LASTING.secret_key), "s3", "us-east-1"
    )
    unsigned = upload.url.partition("&X-Amz-Signature")[0]
    request = AWSRequest("PUT", unsigned, headers=upload.headers)
    request.context["timestamp"] = query["X-Amz-Date"]
    text = signer.string_to_sign(request, signer.canonical_request(request))
    assert query["X-Amz-Signature"] == signer.signature(text, request)


def test_length_type_and_checksum_are_bound_by_the_signature() -> None:
    upload = _storage().presign_put(
        "farmers/a.jpg",
        content_type="image/jpeg",
        content_length=5,
        sha256=DIGEST,
        expires_in=HOUR,
    )

    query = dict(parse_qsl(urlsplit(upload.url).query))
    assert upload.method == "PUT"
    assert upload.headers == {
        "Content-Type": "image/jpeg",
        "Content-Length": "5",
        "x-amz-checksum-sha256": base64.b64encode(DIGEST).decode(),
    }
    signed = query["X-Amz-SignedHeaders"]
    assert signed == "content-length;content-type;host;x-amz-checksum-sha256"
    assert query["X-Amz-Expires"] == "3600"
    assert upload.expires_at == NOW.replace(microsecond=0) + HOUR


def test_aws_is_addressed_by_virtual_host_others_by_path() -> None:
    def address(place: Place) -> str:
        return _storage(place).presign_get("a.jpg", expires_in=HOUR).partition("?")[0]

    assert address(AWS) == "https://originals.s3.eu-west-1.amazonaws.com/a.jpg"
    assert address(SPACES) == "https://nyc3.digitaloceanspaces.com/almafrica/a.jpg"


def test_phones_get_the_public_endpoint() -> None:
    place = Place("b", "us-east-1", "http://10.0.0.1:9000", "https://s3.example.org", True)

    url = _storage(place).presign_get("a.jpg", expires_in=HOUR)

    assert url.startswith("https://s3.example.org/b/a.jpg?")


@pytest.mark.parametrize("seconds", [0, -1, 0.5, 7 * 24 * 3600 + 1])
def test_a_url_lives_one_second_to_seven_days(seconds: float) -> None:
    with pytest.raises(ValueError, match="7 days"):
        _storage().presign_get("a.jpg", expires_in=timedelta(seconds=seconds))


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/a",
        "a/",
        "a//b",
        "..",
        "a/../b",
        "./a",
        "a\0b",
        "a\nb",
        "a\u202eb",
        "a" * 1025,
        "\ud800",
    ],
)
def test_keys_that_do_not_survive_the_way_are_refused(key: str) -> None:
    with pytest.raises(ValueError, match=r"not a storage key|surrogates"):
        _storage().presign_get(key, expires_in=HOUR)


def test_a_digest_in_hex_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        _storage().presign_put(
            "a.jpg",
            content_type="image/jpeg",
            content_length=5,
            sha256=DIGEST.hex().encode(),
            expires_in=HOUR,
        )


def test_a_negative_length_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        _storage().presign_put(
            "a.jpg", content_type="image/jpeg", content_length=-1, expires_in=HOUR
        )


def test_an_object_is_read_from_the_cdn_else_in_public_else_by_signature() -> None:
    def url(**options: object) -> str:
        storage = S3Storage(SPACES, LASTING, **options)  # type: ignore[arg-type]
        return storage.url_for("web/a b.jpg", expires_in=HOUR)

    cdn = "https://cdn.example.org/media"
    assert url(cdn_base_url=cdn, public_read=True) == f"{cdn}/web/a%20b.jpg"
    public = "https://nyc3.digitaloceanspaces.com/almafrica/web/a%20b.jpg"
    assert url(public_read=True) == public
    assert url().startswith(f"{public}?X-Amz-Algorithm=")


def test_signing_imports_neither_boto3_nor_botocore() -> None:
    script = """
import sys
from datetime import timedelta
from fieldgate.storage import originals
upload = originals().presign_put(
    "a.jpg", content_type="image/jpeg", content_length=1, expires_in=timedelta(hours=1)
)
assert "X-Amz-Security-Token=a-token" in upload.url
assert not {"boto3", "botocore"} & set(sys.modules)
"""
    environment = {
        "PYTHONPATH": str(Path("layers/common").resolve()),
        "STORAGE_BUCKET": "originals",
        "AWS_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "ASIAFIELDGATE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_SESSION_TOKEN": "a-token",
    }
    subprocess.run([sys.executable, "-c", script], check=True, env=environment)
