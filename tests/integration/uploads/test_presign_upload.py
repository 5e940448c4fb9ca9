"""POST /uploads/presign, as a phone meets it: the answer, the signature, and what is refused."""

import base64
import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, select, update
from sqlalchemy.exc import IntegrityError

from fieldgate import configuration
from fieldgate.db.engine import Database
from fieldgate.db.tables import media
from fieldgate.db.tables.requests import idempotency_keys
from fieldgate.storage.s3 import S3Storage
from local.valkey import ValkeyServer
from tests import photos
from tests.conftest import empty_valkey
from tests.support.database import count_statements
from tests.support.gateway import Answer, call, signed_in
from tests.support.media import UNNAMED, all_rows, put, row_of, sha256
from tests.support.ports import free_port
from tests.support.s3 import ORIGINALS, LocalS3, refusal
from uploads import presign_upload
from uploads.file_rules import PHOTO_TYPES, DeclaredFile, Folder
from uploads.presigning import presign_photo

PATH = "/api/v1/uploads/presign"
PHOTO = photos.small_jpeg()
GOOD: dict[str, Any] = {
    "folder": "farmers",
    "filename": "leaf.jpg",
    "contentType": "image/jpeg",
    "size": len(PHOTO),
}
DIGEST = hashlib.sha256(PHOTO)
OBJECT_KEY = re.compile(
    r"(clients|client-documents|crop-demands|farmers|uploads)"
    r"/[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\.(jpg|jpeg|png|webp)"
)


@pytest.fixture
def caller(deployed: Database, owner_id: UUID) -> dict[str, Any]:
    return signed_in(owner_id, permissions=["media:write"])


def presign(caller: dict[str, Any] | None, *, key: str | None = None, **changes: Any) -> Answer:
    content = {name: value for name, value in (GOOD | changes).items() if value is not ...}
    headers = {"Idempotency-Key": key} if key else {}
    return call(
        presign_upload.handler, "POST", PATH, headers=headers, content=content, authorizer=caller
    )


def refused(answer: Answer, status: int, code: str) -> Any:
    """Check that it is the documented error, in the envelope; return its details."""
    assert (answer.status, answer.error["code"]) == (status, code)
    assert set(answer.json()) == {"success", "error", "meta"}
    assert "X-Amz-Signature" not in answer.body.decode()
    return answer.error["details"]


# The answer


def test_the_answer_is_the_contracts(caller: dict[str, Any], s3: LocalS3) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    answer = presign(caller)
    assert answer.status == 201
    content = answer.json()
    assert set(content) == {"success", "data", "meta"}
    assert set(content["meta"]) == {"timestamp", "version", "requestId"}
    assert answer.headers["x-request-id"] == content["meta"]["requestId"]
    data = answer.data
    assert set(data) == {"mediaId", "method", "url", "headers", "expiresAt"}
    assert UUID(data["mediaId"]).version == 7
    assert data["method"] == "PUT"
    assert data["url"].startswith(f"{s3.endpoint}/{ORIGINALS}/farmers/{data['mediaId']}.jpg?")
    assert data["headers"] == {"Content-Type": "image/jpeg", "Content-Length": str(len(PHOTO))}
    lifetime = datetime.fromisoformat(data["expiresAt"]) - before
    assert data["expiresAt"].endswith("Z")
    assert timedelta(minutes=60) <= lifetime < timedelta(minutes=61)


def test_the_media_is_pending_and_the_callers(
    caller: dict[str, Any], deployed: Database, owner_id: UUID
) -> None:
    data = presign(caller, filename="Plot 3.JPG", sha256=DIGEST.hexdigest()).data
    row = row_of(deployed, UUID(data["mediaId"]))
    assert row is not None
    expected = {
        "owner_id": owner_id,
        "state": "pending",
        "folder": "farmers",
        "filename": "Plot 3.JPG",
        "content_type": "image/jpeg",
        "size": len(PHOTO),
        "sha256": DIGEST.hexdigest(),
        "object_key": f"farmers/{data['mediaId']}.jpg",
        "variants": {},
        "deleted_at": None,
    }
    assert {name: row[name] for name in expected} == expected


def test_it_costs_one_transaction_of_one_statement(
    caller: dict[str, Any], deployed: Database
) -> None:
    configuration.values()  # which is asked for once in a quarter of an hour
    with count_statements(deployed) as traffic:
        assert presign(caller).status == 201
    assert (traffic.commits, traffic.rollbacks, len(traffic.statements)) == (1, 0, 1)
    # BEGIN and the settings of the transaction ride with the INSERT; then COMMIT.
    assert traffic.round_trips == 2


@pytest.mark.parametrize("folder", list(Folder))
def test_every_folder_of_the_contract_is_open(caller: dict[str, Any], folder: Folder) -> None:
    assert f"/{ORIGINALS}/{folder}/" in presign(caller, folder=folder).data["url"]


def test_the_same_request_twice_makes_two_media(caller: dict[str, Any]) -> None:
    assert presign(caller).data["mediaId"] != presign(caller).data["mediaId"]


# The same request again


def test_with_a_key_the_same_request_is_one_media_and_one_answer(
    caller: dict[str, Any], deployed: Database, s3: LocalS3
) -> None:
    first, second = (presign(caller, key="a", sha256=DIGEST.hexdigest()) for _ in range(2))
    assert (second.status, second.data) == (201, first.data)
    assert second.headers["idempotency-replayed"] == "true"
    assert len(all_rows(deployed)) == 1
    assert put(second.data, PHOTO).status_code == 200


def let_answers_expire(database: Database) -> None:
    """Write into the first answers that their URLs have ended."""

    def expire(connection: Connection) -> None:
        answer = json.loads(connection.scalars(select(idempotency_keys.c.answer)).one())
        answer |= {"url": "https://ended.example.org", "expiresAt": "2026-01-10T10:00:00.000Z"}
        connection.execute(update(idempotency_keys).values(answer=json.dumps(answer)))

    database.transact(expire)


def test_when_the_first_url_has_ended_the_same_media_gets_another(
    caller: dict[str, Any], deployed: Database, s3: LocalS3
) -> None:
    first = presign(caller, key="a", sha256=DIGEST.hexdigest()).data
    let_answers_expire(deployed)
    second = presign(caller, key="a", sha256=DIGEST.hexdigest()).data
    assert second["mediaId"] == first["mediaId"]
    assert datetime.fromisoformat(second["expiresAt"]) > datetime.now(UTC)
    assert put(second, PHOTO).status_code == 200
    assert list(s3.stored(ORIGINALS)) == [f"farmers/{first['mediaId']}.jpg"]


def test_when_the_media_is_deleted_by_then_it_is_gone(
    caller: dict[str, Any], deployed: Database
) -> None:
    presign(caller, key="a")
    let_answers_expire(deployed)
    deployed.transact(lambda connection: connection.execute(delete(media)))
    refused(presign(caller, key="a"), 410, "GONE")


def test_a_key_costs_two_round_trips(caller: dict[str, Any], deployed: Database) -> None:
    configuration.values()
    with count_statements(deployed) as traffic:
        assert presign(caller, key="a").status == 201
    assert traffic.round_trips == 4


# The signed request


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


# Bad input


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


# Who may


def test_without_a_token_it_is_a_401(caller: dict[str, Any], deployed: Database) -> None:
    refused(presign(None), 401, "UNAUTHORIZED")
    refused(presign({"failure": "UNAUTHORIZED"}), 401, "UNAUTHORIZED")
    refused(presign({"failure": "TOKEN_EXPIRED"}), 401, "TOKEN_EXPIRED")
    assert all_rows(deployed) == []


def test_without_the_permission_it_is_a_403(deployed: Database, owner_id: UUID) -> None:
    reader = signed_in(owner_id, roles=["admin"], permissions=["media:read", "media:read_all"])
    refused(presign(reader), 403, "FORBIDDEN")
    assert all_rows(deployed) == []


def test_an_owner_that_no_longer_exists_is_a_401(deployed: Database) -> None:
    ghost = signed_in(uuid4(), permissions=["media:write"])
    refused(presign(ghost), 401, "UNAUTHORIZED")
    assert all_rows(deployed) == []


def test_with_the_database_down_it_is_a_503_and_nothing_is_signed(
    deployed: Database,
    environment: pytest.MonkeyPatch,
    owner_id: UUID,
) -> None:
    signed: list[str] = []
    deployed.close()
    environment.setenv("DATABASE_URL", f"postgresql://u:p@127.0.0.1:{free_port()}/nothing")
    environment.setattr(
        S3Storage, "presign_put", lambda _self, key, **_: signed.append(key), raising=True
    )
    answer = presign(signed_in(owner_id, permissions=["media:write"]))
    refused(answer, 503, "UNAVAILABLE")
    assert signed == []
    assert "127.0.0.1" not in answer.body.decode()


# Whatever the name


def test_whatever_the_name_the_object_is_named_by_us(
    caller: dict[str, Any], deployed: Database, valkey: ValkeyServer
) -> None:
    stems = st.text() | st.from_regex(r"[\w .'()-]{1,40}", fullmatch=True)

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(stems, st.sampled_from([*PHOTO_TYPES, ""]), st.sampled_from(Folder))
    @example("leaf", ".jpg", Folder.FARMERS)
    def check(stem: str, extension: str, folder: Folder) -> None:
        content_type = PHOTO_TYPES.get(extension, "image/jpeg")
        empty_valkey(valkey.url)  # the caller may send more than these
        answer = presign(caller, filename=stem + extension, contentType=content_type, folder=folder)
        if answer.status != 201:
            assert (answer.status, answer.error["code"]) in {
                (400, "VALIDATION_ERROR"),
                (415, "UNSUPPORTED_MEDIA_TYPE"),
            }
            return
        row = row_of(deployed, UUID(answer.data["mediaId"]))
        assert row is not None
        assert OBJECT_KEY.fullmatch(row["object_key"])
        assert row["object_key"].startswith(f"{folder}/{row['id']}.")
        assert f"/{ORIGINALS}/{row['object_key']}?" in answer.data["url"]

    check()
    assert all_rows(deployed)


def test_a_row_that_the_database_refuses_for_another_reason_is_not_taken_for_a_lost_account(
    database: Database, originals: S3Storage, owner_id: UUID
) -> None:
    impossible = DeclaredFile("leaf.jpg", ".jpg", "image/jpeg", size=0)
    with pytest.raises(IntegrityError):
        presign_photo(UNNAMED, database, originals, owner_id, Folder.FARMERS, impossible, None)
