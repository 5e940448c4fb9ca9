"""POST /uploads/{id}/urls: what is signed for a chunk, and that nothing else gets in by it."""

import base64
import hashlib
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from fieldgate.storage.s3 import S3Storage
from tests.support.database import count_statements
from tests.support.gateway import Answer
from tests.support.media import put
from tests.support.s3 import STAGING, LocalS3, refusal
from tests.support.sender import CHUNK, Sender, SentFile, some_bytes, wish
from uploads import transferring
from uploads.transferring import Chunk
from uploads.upload_store import find

CONTENT = some_bytes(2 * CHUNK + 1)
DIGEST = hashlib.sha256(b"a chunk")


@pytest.fixture
def upload(sender: Sender) -> SentFile:
    """A file of three chunks, the last of one byte."""
    return sender.begin(CONTENT)


def refused(answer: Answer, status: int, code: str) -> list[str]:
    """Check that it is the documented error; return the names of the fields that are wrong."""
    assert (answer.status, answer.error["code"]) == (status, code)
    assert "X-Amz-Signature" not in answer.body.decode()
    return [detail["field"] for detail in answer.error["details"]]


# The answer


def test_the_answer_is_the_contracts(sender: Sender, upload: SentFile, s3: LocalS3) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    answer = sender.sign_these(upload, [3, 1])
    assert answer.status == 200
    assert set(answer.data) == {"urls"}
    last, first = answer.data["urls"]
    assert set(first) == {"number", "method", "url", "headers", "expiresAt"}
    assert (first["number"], first["method"]) == (1, "PUT")
    digest = hashlib.sha256(upload.chunk(1))
    key = f"staging/{upload.id}/00001-{digest.hexdigest()}"
    assert first["url"].startswith(f"{s3.endpoint}/{STAGING}/{key}?")
    assert first["headers"] == {
        "Content-Type": "application/octet-stream",
        "Content-Length": str(CHUNK),
        "x-amz-checksum-sha256": base64.b64encode(digest.digest()).decode(),
    }
    assert (last["number"], last["headers"]["Content-Length"]) == (3, "1")
    lifetime = datetime.fromisoformat(first["expiresAt"]) - before
    assert timedelta(minutes=60) <= lifetime < timedelta(minutes=61)


def test_what_was_signed_is_stored(sender: Sender, upload: SentFile) -> None:
    sender.put_all(upload)
    assert [content for _, content in sorted(sender.staged().items())] == [
        upload.chunk(number) for number in (1, 2, 3)
    ]


def test_signing_makes_it_uploading_and_notes_when(sender: Sender, upload: SentFile) -> None:
    assert sender.row(upload.id)["last_signed_at"] is None
    sender.sign_these(upload, [1])
    first = sender.row(upload.id)
    assert first["state"] == "uploading"
    sender.sign_these(upload, [1])
    assert sender.row(upload.id)["last_signed_at"] > first["last_signed_at"]


def test_a_digest_may_be_in_base64(sender: Sender, upload: SentFile) -> None:
    digest = hashlib.sha256(upload.chunk(2)).digest()
    chunks = [{"number": 2, "sha256": base64.b64encode(digest).decode()}]
    (signed,) = sender.sign(upload.id, chunks).data["urls"]
    assert put(signed, upload.chunk(2)).status_code == 200


def test_a_chunk_may_be_signed_and_sent_again(sender: Sender, upload: SentFile) -> None:
    for _ in range(2):
        assert sender.put(upload, 1).status_code == 200
    assert list(sender.staged().values()) == [upload.chunk(1)]


def test_chunks_may_come_in_any_order(sender: Sender, upload: SentFile) -> None:
    sender.put_all(upload, [3, 1, 2])
    assert sender.get(upload.id).data["missing"] == []


# What it costs


def test_a_batch_of_32_costs_one_statement_and_asks_storage_nothing(
    sender: Sender, s3: LocalS3
) -> None:
    upload = sender.begin(some_bytes(32 * CHUNK))
    s3.faults.set("s3", "down", 60)
    with count_statements(sender.database) as traffic:
        answer = sender.sign_these(upload, range(1, 33))
    assert len(answer.data["urls"]) == 32
    assert (traffic.commits, traffic.rollbacks, len(traffic.statements)) == (1, 0, 1)
    assert traffic.round_trips == 2


def test_signing_32_takes_less_than_5_ms_of_our_own_time(
    sender: Sender, upload: SentFile, staging: S3Storage
) -> None:
    """All but the database: its answer is at hand. The best of some tries, on a busy machine."""
    row = sender.database.read(lambda connection: find(connection, upload.id, None))

    class AnsweringDatabase:
        def transact(self, *_: Any, **__: Any) -> Any:
            return row

    chunks = [
        Chunk(1 + number % 3, hashlib.sha256(b"%d" % number).digest()) for number in range(32)
    ]

    def seconds() -> float:
        began = time.thread_time()
        signed = transferring.sign(
            AnsweringDatabase(),  # type: ignore[arg-type]
            staging,
            upload.id,
            chunks,
            actor_id=upload.id,
            owner_id=None,
        )
        assert len(signed) == 32
        return time.thread_time() - began

    assert min(seconds() for _ in range(20)) < 0.005


# Another request than was signed


@pytest.mark.parametrize(
    ("content", "headers", "expected"),
    [
        (CONTENT[: CHUNK + 1], {}, (403, "SignatureDoesNotMatch")),
        (CONTENT[: CHUNK - 1], {}, (403, "SignatureDoesNotMatch")),
        (b"", {}, (403, "SignatureDoesNotMatch")),
        (CONTENT[:CHUNK], {"Content-Type": "text/html"}, (403, "SignatureDoesNotMatch")),
        (CONTENT[1 : CHUNK + 1], {}, (400, "BadDigest")),
        (CONTENT[CHUNK : 2 * CHUNK], {}, (400, "BadDigest")),
        (
            CONTENT[CHUNK : 2 * CHUNK],
            {
                "x-amz-checksum-sha256": base64.b64encode(
                    hashlib.sha256(CONTENT[CHUNK : 2 * CHUNK]).digest()
                ).decode()
            },
            (403, "SignatureDoesNotMatch"),
        ),
        (CONTENT[:CHUNK], {"x-amz-acl": "public-read"}, (403, "AccessDenied")),
    ],
    ids=["longer", "shorter", "empty", "other type", "corrupt", "swapped", "other sum", "public"],
)
def test_another_request_than_signed_is_refused_and_nothing_stored(
    sender: Sender,
    upload: SentFile,
    content: bytes,
    headers: dict[str, str],
    expected: tuple[int, str],
) -> None:
    (signed,) = sender.sign_these(upload, [1]).data["urls"]
    assert refusal(put(signed, content, **headers)) == expected
    assert sender.staged() == {}


def test_for_another_number_or_upload_it_is_refused(
    sender: Sender, stranger: Sender, upload: SentFile
) -> None:
    (signed,) = sender.sign_these(upload, [1]).data["urls"]
    theirs = stranger.begin(CONTENT)
    for before, after in (("/00001-", "/00002-"), (str(upload.id), str(theirs.id))):
        moved = signed | {"url": signed["url"].replace(before, after)}
        assert refusal(put(moved, upload.chunk(1))) == (403, "SignatureDoesNotMatch")
    assert sender.staged() == {}


def test_after_an_hour_it_is_dead_and_another_is_signed(
    sender: Sender, upload: SentFile, s3: LocalS3, environment: pytest.MonkeyPatch
) -> None:
    (signed,) = sender.sign_these(upload, [1]).data["urls"]
    s3.ahead = timedelta(minutes=61)
    assert refusal(put(signed, upload.chunk(1))) == (403, "AccessDenied")
    assert sender.staged() == {}
    s3.ahead = timedelta()
    assert sender.put(upload, 1).status_code == 200


# Bad input


@pytest.mark.parametrize(
    ("number", "field"),
    [
        (0, "chunks.0.number"),
        (-1, "chunks.0.number"),
        (4, "chunks.0.number"),
        (2**63, "chunks.0.number"),
        (-(10**400), "chunks.0.number"),
        (10**400, "chunks.0.number"),
        (True, "chunks.0.number"),
        (1.0, "chunks.0.number"),
        ("1", "chunks.0.number"),
        (None, "chunks.0.number"),
    ],
)
def test_a_number_the_upload_does_not_have_is_a_400_and_changes_nothing(
    sender: Sender, upload: SentFile, number: object, field: str
) -> None:
    answer = sender.sign(upload.id, [wish(number, b"x")])
    assert refused(answer, 400, "VALIDATION_ERROR") == [field]
    row = sender.row(upload.id)
    assert (row["state"], row["last_signed_at"]) == ("created", None)


def test_it_says_which_of_the_chunks_is_wrong(sender: Sender, upload: SentFile) -> None:
    answer = sender.sign(upload.id, [wish(1, b"x"), wish(9, b"x")])
    assert answer.error["details"] == [
        {"field": "chunks.1.number", "message": "must be from 1 to 3"}
    ]


@pytest.mark.parametrize(
    "digest",
    ["", "abc", "g" * 64, DIGEST.hexdigest()[:-1], DIGEST.hexdigest() + "0", "../" * 20, 5, None],
)
def test_a_digest_in_another_form_is_a_400(
    sender: Sender, upload: SentFile, digest: object
) -> None:
    answer = sender.sign(upload.id, [{"number": 1, "sha256": digest}])
    assert refused(answer, 400, "VALIDATION_ERROR") == ["chunks.0.sha256"]


@pytest.mark.parametrize(
    "chunks",
    [
        [],
        [wish(number, b"x") for number in range(1, 34)],
        [wish(1, b"x"), wish(1, b"y")],
        None,
        "all",
        {},
    ],
    ids=["none", "33", "one twice", "null", "text", "object"],
)
def test_another_list_of_chunks_is_a_400(sender: Sender, upload: SentFile, chunks: object) -> None:
    fields = refused(sender.sign(upload.id, chunks), 400, "VALIDATION_ERROR")
    assert fields == ["chunks"]
    assert sender.row(upload.id)["state"] == "created"


@pytest.mark.parametrize("upload_id", ["1", "null", "..", "0198a5b6-0000-7000-8000-00000000000g"])
def test_an_id_that_is_none_is_a_400(sender: Sender, upload_id: str) -> None:
    assert refused(sender.sign(upload_id, [wish(1, b"x")]), 400, "VALIDATION_ERROR") == ["id"]


def test_an_upload_that_is_not_there_or_anothers_is_a_404(
    sender: Sender, stranger: Sender, upload: SentFile
) -> None:
    unknown = sender.sign(uuid4(), [wish(1, b"x")])
    theirs = stranger.sign(upload.id, [wish(1, b"x")])
    assert refused(unknown, 404, "NOT_FOUND") == refused(theirs, 404, "NOT_FOUND") == []
    assert unknown.error == theirs.error
    assert sender.row(upload.id)["state"] == "created"
