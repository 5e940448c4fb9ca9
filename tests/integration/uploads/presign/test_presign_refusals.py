"""POST /uploads/presign: bad input is refused as documented."""

import base64
import hashlib
import json
from typing import Any

import pytest

from fieldgate.db.engine import Database
from tests.support.gateway import call
from tests.support.media import all_rows
from tests.support.presigning import DIGEST, GOOD, PATH, PHOTO, presign, refused
from uploads import presign_upload


@pytest.mark.parametrize(
    "folder",
    [
        "secrets",
        "",
        "..",
        "../farmers",
        "farmers/",
        "farmers/..",
        "/farmers",
        "Farmers",
        " farmers",
        "farmers\0",
        "f\u0430rmers",  # a Cyrillic a
        "\uff46armers",  # a full-width f
        "client\u2010documents",  # another hyphen
        None,
        5,
        ["farmers"],
        {"farmers": 1},
        ...,
    ],
)
def test_another_folder_is_a_400(
    caller: dict[str, Any], deployed: Database, folder: object
) -> None:
    details = refused(presign(caller, folder=folder), 400, "VALIDATION_ERROR")
    assert [detail["field"] for detail in details] == ["folder"]
    assert all_rows(deployed) == []


@pytest.mark.parametrize(
    ("filename", "status", "code"),
    [
        ("../leaf.jpg", 400, "VALIDATION_ERROR"),
        ("leaf\0.jpg", 400, "VALIDATION_ERROR"),
        ("leaf\u202egpj.jpg", 400, "VALIDATION_ERROR"),
        ("a\u2215leaf.jpg", 400, "VALIDATION_ERROR"),
        ("leaf.php.jpg", 400, "VALIDATION_ERROR"),
        ("leaf\ud800.jpg", 400, "VALIDATION_ERROR"),
        ("\u00e9" * 126 + ".jpg", 400, "VALIDATION_ERROR"),
        ("a" * 300 + ".jpg", 400, "VALIDATION_ERROR"),
        ("", 400, "VALIDATION_ERROR"),
        (None, 400, "VALIDATION_ERROR"),
        (5, 400, "VALIDATION_ERROR"),
        (["leaf.jpg"], 400, "VALIDATION_ERROR"),
        (..., 400, "VALIDATION_ERROR"),
        ("leaf", 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("leaf.gif", 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("leaf.j\u0440g", 415, "UNSUPPORTED_MEDIA_TYPE"),
    ],
)
def test_a_bad_name_is_refused_as_documented(
    caller: dict[str, Any], deployed: Database, filename: object, status: int, code: str
) -> None:
    details = refused(presign(caller, filename=filename), status, code)
    assert {detail["field"] for detail in details} <= {"filename"}
    assert all_rows(deployed) == []


@pytest.mark.parametrize(
    ("content_type", "status", "code"),
    [
        ("image/png", 400, "VALIDATION_ERROR"),
        (None, 400, "VALIDATION_ERROR"),
        (5, 400, "VALIDATION_ERROR"),
        ("x" * 101, 400, "VALIDATION_ERROR"),
        (..., 400, "VALIDATION_ERROR"),
        ("", 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("image/gif", 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("image/jpeg\r\nX-Evil: 1", 415, "UNSUPPORTED_MEDIA_TYPE"),
    ],
)
def test_a_bad_type_is_refused_as_documented(
    caller: dict[str, Any], deployed: Database, content_type: object, status: int, code: str
) -> None:
    details = refused(presign(caller, contentType=content_type), status, code)
    assert {detail["field"] for detail in details} <= {"contentType"}
    assert all_rows(deployed) == []


@pytest.mark.parametrize(
    ("size", "status", "code"),
    [
        (0, 400, "VALIDATION_ERROR"),
        (-1, 400, "VALIDATION_ERROR"),
        (True, 400, "VALIDATION_ERROR"),
        (False, 400, "VALIDATION_ERROR"),
        (1000.0, 400, "VALIDATION_ERROR"),
        (1000.5, 400, "VALIDATION_ERROR"),
        (float("nan"), 400, "VALIDATION_ERROR"),
        (float("inf"), 400, "VALIDATION_ERROR"),
        ("1000", 400, "VALIDATION_ERROR"),
        (None, 400, "VALIDATION_ERROR"),
        ([1], 400, "VALIDATION_ERROR"),
        (..., 400, "VALIDATION_ERROR"),
        (5 * 1024 * 1024 + 1, 413, "PAYLOAD_TOO_LARGE"),
        (2**63, 413, "PAYLOAD_TOO_LARGE"),
        (10**400, 413, "PAYLOAD_TOO_LARGE"),
    ],
)
def test_a_bad_size_is_refused_as_documented(
    caller: dict[str, Any], deployed: Database, size: object, status: int, code: str
) -> None:
    details = refused(presign(caller, size=size), status, code)
    assert {detail["field"] for detail in details} <= {"size"}
    assert all_rows(deployed) == []


def test_5_mib_is_just_allowed(caller: dict[str, Any]) -> None:
    assert presign(caller, size=5 * 1024 * 1024).status == 201


@pytest.mark.parametrize(
    "digest",
    [
        "",
        "abc",
        "g" * 64,
        DIGEST.hexdigest()[:-1],
        DIGEST.hexdigest() + "0",
        DIGEST.hexdigest()[:-2] + "  ",
        base64.b64encode(DIGEST.digest()[:31]).decode(),
        base64.b64encode(DIGEST.digest() + b"x").decode(),
        base64.b64encode(DIGEST.digest()).decode().rstrip("="),
        base64.b64encode(DIGEST.digest()).decode() + "\n",
        hashlib.md5(PHOTO).hexdigest(),
        "\uff10" * 64,  # full-width zeros
        int(DIGEST.hexdigest(), 16),
        True,
        [DIGEST.hexdigest()],
    ],
)
def test_a_digest_in_another_form_is_a_400(
    caller: dict[str, Any], deployed: Database, digest: object
) -> None:
    details = refused(presign(caller, sha256=digest), 400, "VALIDATION_ERROR")
    assert details == [
        {"field": "sha256", "message": "must be a SHA-256 digest in hexadecimal or base64"}
    ]
    assert all_rows(deployed) == []


def test_a_digest_of_null_is_none(caller: dict[str, Any]) -> None:
    assert "x-amz-checksum-sha256" not in presign(caller, sha256=None).data["headers"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("", 400),
        ("not JSON", 400),
        ("{", 400),
        ("null", 400),
        ("[]", 400),
        ('"text"', 400),
        (b"\xff\xfe\x00", 400),
        ("[" * 30_000, 400),
        ('{"folder":' * 5_000, 400),
        ('{"size": ' + "9" * 5_000 + "}", 400),
        (json.dumps(GOOD | {"surprise": 1}), 400),
        ("x" * 10_000_000, 413),
        (json.dumps(GOOD) + " " * 70_000, 413),
    ],
    ids=lambda part: str(part[:20]) if isinstance(part, str | bytes) else str(part),
)
def test_a_body_that_cannot_be_one_is_refused(
    caller: dict[str, Any], deployed: Database, body: str | bytes, status: int
) -> None:
    answer = call(presign_upload.handler, "POST", PATH, body=body, authorizer=caller)
    refused(answer, status, {400: "VALIDATION_ERROR", 413: "PAYLOAD_TOO_LARGE"}[status])
    assert all_rows(deployed) == []
