"""Requests signed by header, as functions send them, and the SDK through the gate."""

import asyncio
import base64
import hashlib
import socket
from datetime import timedelta
from typing import TYPE_CHECKING

import httpx
import pytest
from aiohttp.test_utils import TestClient, TestServer
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, ConnectionClosedError

from local.faults import Faults
from local.s3_gate import create_gate
from tests.support.s3 import ORIGINALS, LocalS3, refusal

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

PHOTO = b"\xff\xd8 a photo"
KEY = "farmers/a.jpg"
MISMATCH = (403, "SignatureDoesNotMatch")
OTHER_DIGEST = base64.b64encode(hashlib.sha256(b"another").digest()).decode()


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

    assert refusal(answer) == expected
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

    assert refusal(answer) == expected
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
