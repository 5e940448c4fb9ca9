"""What AWS refuses, the gate refuses, with AWS's codes, and nothing of it is stored."""

import asyncio
import base64
import hashlib
import http.client
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest
from aiohttp.test_utils import TestClient, TestServer
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, ConnectionClosedError

from fieldgate.storage.s3 import S3Storage
from local.faults import Faults
from local.s3_gate import create_gate
from tests.support.s3 import ORIGINALS, LocalS3

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

PHOTO = b"\xff\xd8 a photo"
KEY = "farmers/a.jpg"
HOUR = timedelta(hours=1)
OTHER_DIGEST = base64.b64encode(hashlib.sha256(b"another").digest()).decode()


@dataclass(frozen=True)
class Upload:
    """What a phone sends: a presigned upload, to be tampered with."""

    url: str
    headers: dict[str, str]
    body: bytes = PHOTO

    def send(self) -> httpx.Response:
        headers = self.headers | {"Content-Length": str(len(self.body))}
        return httpx.put(self.url, headers=headers, content=self.body)

    def with_header(self, name: str, value: str) -> "Upload":
        return replace(self, headers=self.headers | {name: value})

    def without_header(self, name: str) -> "Upload":
        return replace(self, headers={k: v for k, v in self.headers.items() if k != name})

    def with_url(self, pattern: str, replacement: str) -> "Upload":
        url, count = re.subn(pattern, replacement, self.url)
        assert count
        return replace(self, url=url)


@pytest.fixture
def upload(originals: S3Storage) -> Upload:
    signed = originals.presign_put(
        KEY,
        content_type="image/jpeg",
        content_length=len(PHOTO),
        sha256=hashlib.sha256(PHOTO).digest(),
        expires_in=HOUR,
    )
    return Upload(signed.url, signed.headers)


def _refusal(answer: httpx.Response) -> tuple[int, str]:
    code = re.search("<Code>(.+?)</Code>", answer.text)
    return answer.status_code, code[1] if code else ""


def test_what_was_signed_is_stored_and_may_be_repeated(upload: Upload, s3_gate: LocalS3) -> None:
    assert upload.send().status_code == 200
    assert upload.send().status_code == 200
    assert s3_gate.stored(ORIGINALS) == {KEY: PHOTO}


MISMATCH = (403, "SignatureDoesNotMatch")
BAD_QUERY = (400, "AuthorizationQueryParametersError")
TAMPERED: dict[str, tuple[Callable[[Upload], Upload], tuple[int, str]]] = {
    "longer": (lambda u: replace(u, body=PHOTO + b"!"), MISMATCH),
    "shorter": (lambda u: replace(u, body=PHOTO[:-1]), MISMATCH),
    "empty": (lambda u: replace(u, body=b""), MISMATCH),
    "same length, other bytes": (
        lambda u: replace(u, body=bytes(reversed(PHOTO))),
        (400, "BadDigest"),
    ),
    "other type": (lambda u: u.with_header("Content-Type", "text/html"), MISMATCH),
    "no type": (lambda u: u.without_header("Content-Type"), MISMATCH),
    "other checksum": (
        lambda u: u.with_header("x-amz-checksum-sha256", OTHER_DIGEST),
        MISMATCH,
    ),
    "no checksum": (lambda u: u.without_header("x-amz-checksum-sha256"), MISMATCH),
    "public": (lambda u: u.with_header("x-amz-acl", "public-read"), (403, "AccessDenied")),
    "other host": (lambda u: u.with_header("Host", "s3.example.org"), MISMATCH),
    "other path": (lambda u: u.with_url("farmers/a", "farmers/b"), MISMATCH),
    "other bucket": (lambda u: u.with_url("/originals/", "/media/"), MISMATCH),
    "climbing path": (lambda u: u.with_url("farmers/a", "farmers/%2e%2e/a"), MISMATCH),
    "longer life": (lambda u: u.with_url("Expires=3600", "Expires=7200"), MISMATCH),
    "endless life": (lambda u: u.with_url("Expires=3600", "Expires=604801"), BAD_QUERY),
    "negative life": (lambda u: u.with_url("Expires=3600", "Expires=-1"), BAD_QUERY),
    "no life": (lambda u: u.with_url("&X-Amz-Expires=3600", ""), BAD_QUERY),
    "fewer signed headers": (lambda u: u.with_url("content-length%3B", ""), MISMATCH),
    "another parameter": (lambda u: u.with_url(r"\?", "?acl&"), MISMATCH),
    "forged": (lambda u: u.with_url("Signature=.+", "Signature=" + "0" * 64), MISMATCH),
    "forged, not hex": (lambda u: u.with_url("Signature=.+", "Signature=%C3%B1"), MISMATCH),
    "unsigned": (lambda u: u.with_url("&X-Amz-Signature=.+", ""), BAD_QUERY),
    "anonymous": (lambda u: u.with_url(r"\?.+", ""), (403, "AccessDenied")),
    "unknown key": (
        lambda u: u.with_url("AKIAFIELDGATE", "AKIASTRANGER"),
        (403, "InvalidAccessKeyId"),
    ),
    "other region": (lambda u: u.with_url("eu-west-1", "eu-west-2"), BAD_QUERY),
    "other service": (lambda u: u.with_url("%2Fs3%2F", "%2Fsqs%2F"), BAD_QUERY),
    "other day": (lambda u: u.with_url(r"%2F\d{8}%2F", "%2F20200101%2F"), BAD_QUERY),
    "broken scope": (lambda u: u.with_url("%2Fs3%2Faws4_request", ""), BAD_QUERY),
    "broken date": (lambda u: u.with_url(r"Date=\w+", "Date=yesterday"), BAD_QUERY),
    "other algorithm": (lambda u: u.with_url("AWS4-HMAC-SHA256", "none"), BAD_QUERY),
    "signed twice": (
        lambda u: u.with_header("Authorization", "AWS4-HMAC-SHA256 x"),
        (400, "InvalidArgument"),
    ),
    "the old signature": (
        lambda u: u.with_url(r"\?.+", "?AWSAccessKeyId=AKIAFIELDGATE&Signature=a&Expires=9"),
        (400, "InvalidRequest"),
    ),
}


@pytest.mark.parametrize(("tamper", "expected"), TAMPERED.values(), ids=TAMPERED.keys())
def test_a_tampered_upload_is_refused_and_nothing_stored(
    upload: Upload,
    s3_gate: LocalS3,
    tamper: Callable[[Upload], Upload],
    expected: tuple[int, str],
) -> None:
    assert _refusal(tamper(upload).send()) == expected
    assert s3_gate.stored(ORIGINALS) == {}


def test_an_upload_signed_with_another_secret_is_refused(s3_gate: LocalS3) -> None:
    forger = replace(s3_gate.credentials, secret_key="guess")
    signed = S3Storage(s3_gate.place(ORIGINALS), forger).presign_put(
        KEY, content_type="image/jpeg", content_length=len(PHOTO), expires_in=HOUR
    )

    assert _refusal(Upload(signed.url, signed.headers).send()) == MISMATCH
    assert s3_gate.stored(ORIGINALS) == {}


def test_an_upload_is_not_a_download(upload: Upload) -> None:
    upload.send()

    answer = httpx.request("GET", upload.url, headers=upload.headers, content=PHOTO)

    assert _refusal(answer) == MISMATCH


def test_replayed_after_its_hour_it_has_expired(upload: Upload, s3_gate: LocalS3) -> None:
    s3_gate.ahead = HOUR - timedelta(seconds=10)
    assert upload.send().status_code == 200

    s3_gate.ahead = HOUR
    answer = replace(upload, body=PHOTO).send()

    assert _refusal(answer) == (403, "AccessDenied")
    assert "Request has expired" in answer.text


def test_signed_by_a_clock_that_is_fast_it_is_not_valid_yet(
    upload: Upload, s3_gate: LocalS3
) -> None:
    s3_gate.ahead = timedelta(minutes=-14)
    assert upload.send().status_code == 200

    s3_gate.ahead = timedelta(minutes=-16)
    assert "Request is not valid yet" in upload.send().text


def test_a_presigned_url_with_an_empty_session_token_is_taken(s3_gate: LocalS3) -> None:
    keys = s3_gate.credentials
    empty = Credentials(keys.access_key, keys.secret_key, token="")
    request = AWSRequest("PUT", f"{s3_gate.endpoint}/{ORIGINALS}/{KEY}")
    S3SigV4QueryAuth(empty, "s3", s3_gate.region, expires=60).add_auth(request)
    assert request.url
    assert "X-Amz-Security-Token=&" in request.url

    assert httpx.put(request.url, content=PHOTO).status_code == 200


def test_how_the_client_encodes_the_path_does_not_matter(
    originals: S3Storage, s3_gate: LocalS3
) -> None:
    signed = originals.presign_put(
        "farmers/ñ (1)~.jpg", content_type="image/jpeg", content_length=3, expires_in=HOUR
    )
    url = signed.url.replace("%28", "(").replace("%C3%B1", "%c3%b1").replace("~", "%7E")

    answer = httpx.put(url, headers=signed.headers, content=b"abc")

    assert answer.status_code == 200, answer.text
    assert list(s3_gate.stored(ORIGINALS)) == ["farmers/ñ (1)~.jpg"]


def _send_raw(url: str, headers: Mapping[str, str | bytes], body: bytes = b"") -> bytes:
    """Send just these headers, which no sensible client would."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    try:
        connection.putrequest("PUT", f"{parts.path}?{parts.query}", skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return b"%d " % answer.status + answer.read()
    finally:
        connection.close()


def test_a_body_of_unknown_length_is_refused(upload: Upload, s3_gate: LocalS3) -> None:
    chunked = upload.without_header("Content-Length").headers | {"Transfer-Encoding": "chunked"}
    url = s3_gate.client(signature_version="s3v4").generate_presigned_url(
        "put_object", Params={"Bucket": ORIGINALS, "Key": KEY}
    )

    answer = _send_raw(upload.url, chunked, b"1\r\nx\r\n0\r\n\r\n")
    assert answer.startswith(b"403 ")

    # Where the length was not signed, S3 still wants it.
    answer = _send_raw(url, {"Transfer-Encoding": "chunked"}, b"1\r\nx\r\n0\r\n\r\n")
    assert answer.startswith(b"411 ")
    assert b"<Code>MissingContentLength</Code>" in answer
    assert s3_gate.stored(ORIGINALS) == {}


@pytest.mark.parametrize(
    ("length", "code"),
    [(5 * 1024**3 + 1, b"EntityTooLarge"), (64 * 1024**2 + 1, b"NotImplemented")],
)
def test_a_body_that_is_too_large_is_refused_before_it_is_read(
    originals: S3Storage, s3_gate: LocalS3, length: int, code: bytes
) -> None:
    signed = originals.presign_put(
        KEY, content_type="image/jpeg", content_length=length, expires_in=HOUR
    )

    assert b"<Code>%s</Code>" % code in _send_raw(signed.url, signed.headers)


def test_a_header_that_is_not_utf8_is_a_mismatch(upload: Upload, s3_gate: LocalS3) -> None:
    headers: dict[str, str | bytes] = {**upload.headers, "Content-Type": b"image/\xff"}

    answer = _send_raw(upload.url, headers, PHOTO)

    assert b"<Code>SignatureDoesNotMatch</Code>" in answer


class Claiming(S3SigV4Auth):
    """Signs `claimed` for the body's hash, whatever the body."""

    claimed: str | None = None

    def payload(self, request: AWSRequest) -> str:
        return self.claimed or super().payload(request)


def _signed_by_header(
    s3_gate: LocalS3, headers: dict[str, str], body: bytes, claimed: str | None = None
) -> dict[str, str]:
    keys = s3_gate.credentials
    request = AWSRequest("PUT", f"{s3_gate.endpoint}/{ORIGINALS}/{KEY}", headers=headers, data=body)
    signer = Claiming(Credentials(keys.access_key, keys.secret_key), "s3", s3_gate.region)
    signer.claimed = claimed
    signer.add_auth(request)
    return dict(request.headers.items())


def _md5(body: bytes) -> str:
    return base64.b64encode(hashlib.md5(body).digest()).decode()


@pytest.mark.parametrize(
    ("headers", "sent", "expected"),
    [
        ({}, b"other bytes", (400, "XAmzContentSHA256Mismatch")),
        ({"Content-MD5": _md5(b"other")}, PHOTO, (400, "BadDigest")),
        ({"Content-MD5": "not base64"}, PHOTO, (400, "InvalidDigest")),
        ({"x-amz-checksum-sha256": OTHER_DIGEST}, PHOTO, (400, "BadDigest")),
        ({"x-amz-checksum-sha256": "c2hvcnQ="}, PHOTO, (400, "InvalidRequest")),
        ({"x-amz-checksum-crc32": "AAAAAA=="}, PHOTO, (400, "BadDigest")),
        ({"x-amz-checksum-sha1": "A" * 27 + "="}, PHOTO, (400, "BadDigest")),
    ],
)
def test_damaged_bytes_are_refused(
    s3_gate: LocalS3, headers: dict[str, str], sent: bytes, expected: tuple[int, str]
) -> None:
    signed = _signed_by_header(s3_gate, headers, PHOTO)

    answer = httpx.put(f"{s3_gate.endpoint}/{ORIGINALS}/{KEY}", headers=signed, content=sent)

    assert _refusal(answer) == expected
    assert s3_gate.stored(ORIGINALS) == {}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"Authorization": "Basic Zm9vOmJhcg=="}, (400, "InvalidRequest")),
        ({"Authorization": "AWS4-HMAC-SHA256 Credential=a"}, (400, "AuthorizationHeaderMalformed")),
        ({"X-Amz-Content-SHA256": ""}, (400, "InvalidRequest")),
        ({"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}, MISMATCH),
        ({"X-Amz-Date": ""}, (403, "AccessDenied")),
        ({"X-Amz-Tagging": "a=b"}, (403, "AccessDenied")),
    ],
)
def test_a_broken_authorization_header_is_refused(
    s3_gate: LocalS3, change: dict[str, str], expected: tuple[int, str]
) -> None:
    signed = _signed_by_header(s3_gate, {}, PHOTO) | change
    headers = {name: value for name, value in signed.items() if value}

    answer = httpx.put(f"{s3_gate.endpoint}/{ORIGINALS}/{KEY}", headers=headers, content=PHOTO)

    assert _refusal(answer) == expected
    assert s3_gate.stored(ORIGINALS) == {}


@pytest.mark.parametrize(
    ("claimed", "status"),
    [
        ("UNSIGNED-PAYLOAD", 200),
        ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", 501),
        ("no digest", 400),
        ("0" * 64, 400),
    ],
)
def test_the_bodys_hash_is_one_or_says_there_is_none(
    s3_gate: LocalS3, claimed: str, status: int
) -> None:
    signed = _signed_by_header(s3_gate, {}, PHOTO, claimed)

    answer = httpx.put(f"{s3_gate.endpoint}/{ORIGINALS}/{KEY}", headers=signed, content=PHOTO)

    assert answer.status_code == status, answer.text
    assert bool(s3_gate.stored(ORIGINALS)) == (status == 200)


def test_boto3_works_through_the_gate(s3_gate: LocalS3) -> None:
    client = s3_gate.client()
    key = "farmers/ñ a+b.jpg"

    client.put_object(Bucket=ORIGINALS, Key=key, Body=PHOTO, Metadata={"a": "two  spaces"})
    client.copy_object(Bucket=ORIGINALS, Key="copy", CopySource={"Bucket": ORIGINALS, "Key": key})
    part = client.get_object(Bucket=ORIGINALS, Key=key, Range="bytes=0-1")
    found = client.list_objects_v2(Bucket=ORIGINALS, Prefix="farmers/ñ a+")

    assert part["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert part["Body"].read() == PHOTO[:2]
    assert [item["Key"] for item in found["Contents"]] == [key]
    assert client.head_object(Bucket=ORIGINALS, Key="copy")["ContentLength"] == len(PHOTO)
    client.delete_objects(Bucket=ORIGINALS, Delete={"Objects": [{"Key": "copy"}]})
    assert list(s3_gate.stored(ORIGINALS)) == [key]


def test_a_multipart_upload_works_through_the_gate(s3_gate: LocalS3) -> None:
    client = s3_gate.client()
    bodies = [b"x" * 5 * 1024**2, b"the last one"]

    upload_id = client.create_multipart_upload(Bucket=ORIGINALS, Key=KEY)["UploadId"]
    parts: list[CompletedPartTypeDef] = []
    for number, body in enumerate(bodies, start=1):
        part = client.upload_part(
            Bucket=ORIGINALS, Key=KEY, UploadId=upload_id, PartNumber=number, Body=body
        )
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    client.complete_multipart_upload(
        Bucket=ORIGINALS, Key=KEY, UploadId=upload_id, MultipartUpload={"Parts": parts}
    )

    assert s3_gate.stored(ORIGINALS)[KEY] == b"".join(bodies)


def test_boto3_with_a_wrong_clock_is_told_so(s3_gate: LocalS3) -> None:
    s3_gate.ahead = timedelta(minutes=16)

    with pytest.raises(ClientError) as caught:
        s3_gate.client().get_object(Bucket=ORIGINALS, Key=KEY)

    assert caught.value.response["Error"]["Code"] == "RequestTimeTooSkewed"


def test_a_browsers_preflight_needs_no_signature(s3_gate: LocalS3) -> None:
    answer = httpx.options(
        f"{s3_gate.endpoint}/{ORIGINALS}/{KEY}",
        headers={"Origin": "https://app.example.org", "Access-Control-Request-Method": "PUT"},
    )

    assert "SignatureDoesNotMatch" not in answer.text
    assert answer.status_code != 403 or "CORSResponse" in answer.text


def test_while_down_connections_are_cut_without_an_answer(s3_gate: LocalS3) -> None:
    s3_gate.faults.set("s3", "down", 60)

    with pytest.raises(ConnectionClosedError):
        s3_gate.client().get_object(Bucket=ORIGINALS, Key=KEY)


def test_while_failing_it_asks_to_slow_down(upload: Upload, s3_gate: LocalS3) -> None:
    s3_gate.faults.set("s3", "error", 60)

    assert _refusal(upload.send()) == (503, "SlowDown")
    assert s3_gate.stored(ORIGINALS) == {}


def test_without_a_server_behind_it_storage_is_unavailable() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        upstream = f"http://127.0.0.1:{unused.getsockname()[1]}"

        async def run() -> tuple[int, str]:
            gate = create_gate(upstream, lambda key: None, faults=Faults())
            async with TestClient(TestServer(gate)) as client:
                answer = await client.options("/originals/farmers/a.jpg")
                return answer.status, await answer.text()

        status, text = asyncio.run(run())

    assert status == 503
    assert "<Code>ServiceUnavailable</Code>" in text
