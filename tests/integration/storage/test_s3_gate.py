"""Presigned uploads: what AWS refuses, the gate refuses as AWS does, and nothing is stored."""

import base64
import hashlib
import http.client
import re
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from urllib.parse import urlsplit
from xml.etree import ElementTree

import httpx
import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from fieldgate.storage.s3 import S3Storage
from tests.support.s3 import ORIGINALS, LocalS3, refusal

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

    def send(self, timeout: float = 5) -> httpx.Response:
        headers = self.headers | {"Content-Length": str(len(self.body))}
        return httpx.put(self.url, headers=headers, content=self.body, timeout=timeout)

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
    assert refusal(tamper(upload).send()) == expected
    assert s3_gate.stored(ORIGINALS) == {}


def test_an_upload_signed_with_another_secret_is_refused(s3_gate: LocalS3) -> None:
    forger = replace(s3_gate.credentials, secret_key="guess")
    signed = S3Storage(s3_gate.place(ORIGINALS), forger).presign_put(
        KEY, content_type="image/jpeg", content_length=len(PHOTO), expires_in=HOUR
    )

    assert refusal(Upload(signed.url, signed.headers).send()) == MISMATCH
    assert s3_gate.stored(ORIGINALS) == {}


def test_an_upload_is_not_a_download(upload: Upload) -> None:
    upload.send()

    answer = httpx.request("GET", upload.url, headers=upload.headers, content=PHOTO)

    assert refusal(answer) == MISMATCH


def test_replayed_after_its_hour_it_has_expired(upload: Upload, s3_gate: LocalS3) -> None:
    s3_gate.ahead = HOUR - timedelta(seconds=10)
    assert upload.send().status_code == 200

    s3_gate.ahead = HOUR
    answer = replace(upload, body=PHOTO).send()

    assert refusal(answer) == (403, "AccessDenied")
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


def test_while_failing_it_asks_to_slow_down(upload: Upload, s3_gate: LocalS3) -> None:
    s3_gate.faults.set("s3", "error", 60)

    assert refusal(upload.send()) == (503, "SlowDown")
    assert s3_gate.stored(ORIGINALS) == {}


def test_while_hanging_it_answers_once_that_is_over(upload: Upload, s3_gate: LocalS3) -> None:
    began = time.monotonic()
    s3_gate.faults.set("s3", "hang", 0.2)

    assert upload.send().status_code == 200

    assert time.monotonic() - began >= 0.2
    assert s3_gate.stored(ORIGINALS) == {KEY: PHOTO}


def test_while_hanging_it_forgets_who_has_left(upload: Upload, s3_gate: LocalS3) -> None:
    s3_gate.faults.set("s3", "hang", 60)
    with pytest.raises(httpx.ReadTimeout):
        upload.send(timeout=0.1)
    # By the time that this one gives up as well, the first has long been seen to leave.
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(upload.url, timeout=0.1)

    s3_gate.faults.set("s3", "hang", 0)

    assert httpx.get(s3_gate.endpoint).status_code == 403
    assert s3_gate.stored(ORIGINALS) == {}


def test_a_client_that_leaves_halfway_is_nobodys_error(
    upload: Upload, s3_gate: LocalS3, caplog: pytest.LogCaptureFixture
) -> None:
    parts = urlsplit(upload.url)
    headers = "".join(f"{name}: {value}\r\n" for name, value in upload.headers.items())
    request = f"PUT {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\n{headers}\r\n"
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
        connection.sendall(request.encode() + PHOTO[:-1])
    # By the time that this one is answered, the other has long been seen to leave.
    assert upload.send().status_code == 200

    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.parametrize("path", [b"/originals/\xff", b"/originals/%00%ff%0a", b"//originals/a"])
def test_a_path_that_makes_no_sense_is_refused_in_well_formed_xml(
    s3_gate: LocalS3, path: bytes
) -> None:
    host = urlsplit(s3_gate.endpoint)
    query = b"X-Amz-Credential=%00/a/b/c/d&X-Amz-Signature=%ff"
    with socket.create_connection((host.hostname, host.port), timeout=10) as connection:
        connection.sendall(b"GET %s?%s HTTP/1.0\r\nHost: a\r\n\r\n" % (path, query))
        answer = b"".join(iter(lambda: connection.recv(4096), b""))

    assert answer.split(b" ")[1] == b"400", answer
    if b"<Error>" in answer:
        assert ElementTree.fromstring(answer.partition(b"\r\n\r\n")[2]).tag == "Error"
