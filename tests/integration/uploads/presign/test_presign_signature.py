"""POST /uploads/presign: what storage takes is what was signed, and nothing else."""

import base64
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.support.media import put, sha256
from tests.support.presigning import DIGEST, PHOTO, presign
from tests.support.s3 import ORIGINALS, LocalS3, refusal


def test_what_was_signed_is_stored(caller: dict[str, Any], s3: LocalS3) -> None:
    data = presign(caller).data
    assert put(data, PHOTO).status_code == 200
    assert s3.stored(ORIGINALS) == {f"farmers/{data['mediaId']}.jpg": PHOTO}


@pytest.mark.parametrize("written", [DIGEST.hexdigest(), DIGEST.hexdigest().upper(), "base64"])
def test_a_digest_in_hex_or_base64_is_signed(
    caller: dict[str, Any], s3: LocalS3, written: str
) -> None:
    encoded = base64.b64encode(DIGEST.digest()).decode()
    data = presign(caller, sha256=encoded if written == "base64" else written).data
    assert data["headers"]["x-amz-checksum-sha256"] == encoded
    assert put(data, PHOTO).status_code == 200
    assert [sha256(content) for content in s3.stored(ORIGINALS).values()] == [DIGEST.hexdigest()]


@pytest.mark.parametrize(
    ("content", "headers", "expected"),
    [
        (PHOTO + b"!", {}, (403, "SignatureDoesNotMatch")),
        (PHOTO[:-1], {}, (403, "SignatureDoesNotMatch")),
        (b"", {}, (403, "SignatureDoesNotMatch")),
        (PHOTO, {"Content-Type": "text/html"}, (403, "SignatureDoesNotMatch")),
        (PHOTO[::-1], {}, (400, "BadDigest")),
        (
            PHOTO[::-1],
            {"x-amz-checksum-sha256": base64.b64encode(bytes(32)).decode()},
            (403, "SignatureDoesNotMatch"),
        ),
        (PHOTO, {"x-amz-acl": "public-read"}, (403, "AccessDenied")),
    ],
    ids=["longer", "shorter", "empty", "other type", "other bytes", "other checksum", "public"],
)
def test_another_request_than_signed_is_refused_and_nothing_stored(
    caller: dict[str, Any],
    s3: LocalS3,
    content: bytes,
    headers: dict[str, str],
    expected: tuple[int, str],
) -> None:
    data = presign(caller, sha256=DIGEST.hexdigest()).data
    assert refusal(put(data, content, **headers)) == expected
    assert s3.stored(ORIGINALS) == {}


def test_after_an_hour_the_url_is_dead(caller: dict[str, Any], s3: LocalS3) -> None:
    data = presign(caller).data
    s3.ahead = timedelta(minutes=61)
    assert refusal(put(data, PHOTO)) == (403, "AccessDenied")
    assert s3.stored(ORIGINALS) == {}


def test_another_key_than_signed_is_refused(caller: dict[str, Any], s3: LocalS3) -> None:
    data = presign(caller).data
    data["url"] = data["url"].replace(data["mediaId"], str(uuid4()))
    assert refusal(put(data, PHOTO)) == (403, "SignatureDoesNotMatch")
    assert s3.stored(ORIGINALS) == {}
