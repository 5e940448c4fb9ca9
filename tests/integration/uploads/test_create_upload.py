"""POST /uploads: what is agreed about a file in chunks, and what is refused."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from fieldgate.db.engine import Database
from fieldgate.db.tables.all import uploads
from tests.support.database import count_statements
from tests.support.gateway import Answer, call, signed_in
from tests.support.media import all_rows, row_of
from tests.support.ports import free_port
from tests.support.s3 import LocalS3
from tests.support.sender import BASE, OWN, Sender
from uploads import create_upload
from uploads.file_rules import DOCUMENT_TYPES, PHOTO_TYPES, Folder

KIB = 1024
MIB = KIB * KIB
DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def all_uploads(database: Database) -> list[dict[str, Any]]:
    rows = database.read(lambda connection: connection.execute(select(uploads)).mappings().all())
    return [dict(row) for row in rows]


def refused(answer: Answer, status: int, code: str) -> Any:
    """Check that it is the documented error; return the names of the fields that are wrong."""
    assert (answer.status, answer.error["code"]) == (status, code)
    return [detail["field"] for detail in answer.error["details"]]


# The answer


def test_the_answer_is_the_contracts(sender: Sender) -> None:
    before = datetime.now(UTC)
    answer = sender.create(size=1_500_000)
    assert answer.status == 201
    data = answer.data
    upload_id, media_id = UUID(data.pop("uploadId")), UUID(data.pop("mediaId"))
    assert upload_id.version == media_id.version == 7
    lifetime = datetime.fromisoformat(data.pop("expiresAt")) - before
    assert timedelta(hours=23, minutes=59) < lifetime < timedelta(hours=24, minutes=1)
    assert data == {
        "chunkSize": 512 * KIB,
        "chunkCount": 3,
        "policy": {
            "partTimeoutSeconds": 60,
            "maxRetries": 3,
            "maxConsecutiveFailures": 10,
            "backoff": {"initialSeconds": 1, "factor": 2, "maxSeconds": 30, "jitter": "full"},
        },
    }


def test_upload_and_media_are_one_pair_and_the_callers(sender: Sender, owner_id: UUID) -> None:
    data = sender.create(filename="Lease.PDF", contentType="application/pdf", sha256=DIGEST).data
    row = sender.row(UUID(data["uploadId"]))
    media = row_of(sender.database, UUID(data["mediaId"]))
    assert media is not None
    assert media["object_key"] == f"client-documents/{data['mediaId']}.pdf"
    expected = {"owner_id": owner_id, "size": 1000, "sha256": DIGEST, "state": "created"}
    expected |= {"media_id": media["id"], "object_key": media["object_key"]}
    expected |= {"content_type": "application/pdf", "chunk_size": 512 * KIB}
    assert {name: row[name] for name in expected} == expected
    expected = {"owner_id": owner_id, "size": 1000, "sha256": DIGEST, "state": "pending"}
    expected |= {"filename": "Lease.PDF", "content_type": "application/pdf"}
    assert {name: media[name] for name in expected} == expected


def test_it_costs_one_transaction_of_one_statement(sender: Sender) -> None:
    with count_statements(sender.database) as traffic:
        assert sender.create().status == 201
    assert (traffic.commits, traffic.rollbacks, len(traffic.statements)) == (1, 0, 1)
    assert traffic.round_trips == 2


def test_storage_is_not_asked(sender: Sender, s3: LocalS3) -> None:
    s3.faults.set("s3", "down", 60)
    assert sender.create().status == 201


@pytest.mark.parametrize("folder", list(Folder))
def test_every_folder_of_the_contract_is_open(sender: Sender, folder: Folder) -> None:
    media_id = UUID(sender.create(folder=folder).data["mediaId"])
    media = row_of(sender.database, media_id)
    assert media is not None
    assert media["object_key"] == f"{folder}/{media_id}.txt"


@pytest.mark.parametrize(("extension", "content_type"), (PHOTO_TYPES | DOCUMENT_TYPES).items())
def test_photos_and_documents_are_taken(sender: Sender, extension: str, content_type: str) -> None:
    answer = sender.create(filename=f"file{extension}", contentType=content_type, size=50 * MIB)
    assert answer.status == 201
    assert answer.data["chunkCount"] == 100


# The chunks


@pytest.mark.parametrize(
    ("size", "chunk_size", "count"),
    [
        (1, 512 * KIB, 1),
        (512 * KIB, 512 * KIB, 1),
        (512 * KIB + 1, 512 * KIB, 2),
        (5 * MIB - 1, 512 * KIB, 10),
        (5 * MIB, 512 * KIB, 10),
        (5 * MIB + 1, 512 * KIB, 11),
        (50 * MIB, 512 * KIB, 100),
        (50 * MIB, 100 * KIB, 512),
        (50 * MIB, 5 * MIB, 10),
    ],
)
def test_there_are_as_many_chunks_as_the_size_takes(
    sender: Sender, size: int, chunk_size: int, count: int
) -> None:
    data = sender.create(size=size, chunkSize=chunk_size).data
    assert (data["chunkSize"], data["chunkCount"]) == (chunk_size, count)


@pytest.mark.parametrize(
    ("wish", "given"),
    [
        (None, 512 * KIB),
        (..., 512 * KIB),
        (100 * KIB - 1, 100 * KIB),
        (100 * KIB, 100 * KIB),
        (100 * KIB + 1, 100 * KIB + 1),
        (5 * MIB - 1, 5 * MIB - 1),
        (5 * MIB, 5 * MIB),
        (5 * MIB + 1, 5 * MIB),
        (0, 100 * KIB),
        (-1, 100 * KIB),
        (-(10**400), 100 * KIB),
        (2**63, 5 * MIB),
        (10**400, 5 * MIB),
    ],
)
def test_a_wish_for_a_chunk_size_is_granted_as_far_as_it_goes(
    sender: Sender, wish: object, given: int
) -> None:
    assert sender.create(chunkSize=wish).data["chunkSize"] == given


@pytest.mark.parametrize("wish", [True, False, 1.0, 1e300, "524288", [1], {}])
def test_a_chunk_size_that_is_no_whole_number_is_a_400(sender: Sender, wish: object) -> None:
    assert refused(sender.create(chunkSize=wish), 400, "VALIDATION_ERROR") == ["chunkSize"]
    assert all_uploads(sender.database) == []


# Bad input


@pytest.mark.parametrize(
    ("size", "status", "code"),
    [
        (0, 400, "VALIDATION_ERROR"),
        (-1, 400, "VALIDATION_ERROR"),
        (-(10**400), 400, "VALIDATION_ERROR"),
        (True, 400, "VALIDATION_ERROR"),
        (1000.0, 400, "VALIDATION_ERROR"),
        (float("nan"), 400, "VALIDATION_ERROR"),
        ("1000", 400, "VALIDATION_ERROR"),
        (None, 400, "VALIDATION_ERROR"),
        (..., 400, "VALIDATION_ERROR"),
        (50 * MIB + 1, 413, "PAYLOAD_TOO_LARGE"),
        (2**63, 413, "PAYLOAD_TOO_LARGE"),
        (10**400, 413, "PAYLOAD_TOO_LARGE"),
    ],
)
def test_a_bad_size_is_refused_as_documented(
    sender: Sender, size: object, status: int, code: str
) -> None:
    assert set(refused(sender.create(size=size), status, code)) <= {"size"}
    assert all_uploads(sender.database) == all_rows(sender.database) == []


@pytest.mark.parametrize(
    "folder",
    [
        "secrets",
        "",
        "..",
        "../farmers",
        "farmers/",
        "/farmers",
        "Farmers",
        "farmers\0",
        None,
        5,
        ...,
    ],
)
def test_another_folder_is_a_400(sender: Sender, folder: object) -> None:
    assert refused(sender.create(folder=folder), 400, "VALIDATION_ERROR") == ["folder"]
    assert all_uploads(sender.database) == all_rows(sender.database) == []


@pytest.mark.parametrize(
    ("filename", "status", "code"),
    [
        ("../notes.txt", 400, "VALIDATION_ERROR"),
        ("clients/notes.txt", 400, "VALIDATION_ERROR"),
        ("..\\notes.txt", 400, "VALIDATION_ERROR"),
        ("notes\0.txt", 400, "VALIDATION_ERROR"),
        ("a\u2215notes.txt", 400, "VALIDATION_ERROR"),
        ("notes.exe.txt", 400, "VALIDATION_ERROR"),
        ("notes.docx.txt", 400, "VALIDATION_ERROR"),
        ("", 400, "VALIDATION_ERROR"),
        (..., 400, "VALIDATION_ERROR"),
        ("notes.pdf", 400, "VALIDATION_ERROR"),
        ("notes", 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("notes.exe", 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("notes.docm", 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("notes.svg", 415, "UNSUPPORTED_MEDIA_TYPE"),
    ],
)
def test_a_bad_name_is_refused_as_documented(
    sender: Sender, filename: object, status: int, code: str
) -> None:
    refused(sender.create(filename=filename), status, code)
    assert all_uploads(sender.database) == all_rows(sender.database) == []


@pytest.mark.parametrize("digest", ["", "abc", "g" * 64, DIGEST[:-1], DIGEST + "0", 5, True])
def test_a_digest_in_another_form_is_a_400(sender: Sender, digest: object) -> None:
    assert refused(sender.create(sha256=digest), 400, "VALIDATION_ERROR") == ["sha256"]


@pytest.mark.parametrize("body", ["", "{", "null", "[]", b"\xff\xfe", json.dumps({"surprise": 1})])
def test_a_body_that_cannot_be_one_is_a_400(sender: Sender, body: str | bytes) -> None:
    answer = call(create_upload.handler, "POST", BASE, body=body, authorizer=sender.caller)
    refused(answer, 400, "VALIDATION_ERROR")


# Who may


@pytest.mark.parametrize("permission", ["media:read", "media:read_all", "media:write_all"])
def test_without_the_permission_it_is_a_403(
    sender: Sender, owner_id: UUID, permission: str
) -> None:
    sender.caller = signed_in(owner_id, permissions=[permission])
    refused(sender.create(), 403, "FORBIDDEN")
    assert all_uploads(sender.database) == all_rows(sender.database) == []


def test_without_a_token_or_its_user_it_is_a_401(sender: Sender) -> None:
    for caller in (None, signed_in(uuid4(), permissions=OWN)):
        sender.caller = caller
        refused(sender.create(), 401, "UNAUTHORIZED")
    assert all_uploads(sender.database) == all_rows(sender.database) == []


def test_with_the_database_down_it_is_a_503(
    sender: Sender, environment: pytest.MonkeyPatch
) -> None:
    sender.database.close()
    environment.setenv("DATABASE_URL", f"postgresql://u:p@127.0.0.1:{free_port()}/nothing")
    refused(sender.create(), 503, "UNAVAILABLE")


# The same request again


def test_with_a_key_it_is_one_upload_and_one_answer(sender: Sender) -> None:
    first, second = (sender.create(key="a") for _ in range(2))
    assert (second.status, second.data) == (201, first.data)
    assert second.headers["idempotency-replayed"] == "true"
    assert len(all_uploads(sender.database)) == len(all_rows(sender.database)) == 1


@pytest.mark.parametrize("end", ["abort", "expire"])
def test_the_first_answer_stays_whatever_became_of_the_upload(sender: Sender, end: str) -> None:
    first = sender.create(key="a").data
    upload_id = UUID(first["uploadId"])
    if end == "abort":
        assert sender.abort(upload_id).status == 204
    else:
        sender.let_expire(upload_id)
    assert sender.create(key="a").data == first
    # What became of it is told by asking.
    assert sender.get(upload_id).data["state"] == {"abort": "aborted", "expire": "expired"}[end]


def test_a_key_is_good_for_one_request(sender: Sender) -> None:
    sender.create(key="a")
    refused(sender.create(key="a", size=1001), 409, "IDEMPOTENCY_KEY_REUSED")
    assert len(all_uploads(sender.database)) == 1


def test_a_key_costs_two_round_trips(sender: Sender) -> None:
    with count_statements(sender.database) as traffic:
        assert sender.create(key="a").status == 201
    assert traffic.round_trips == 4
