"""POST /uploads/{id}/complete: nothing is put together before all is there, and then surely."""

from typing import Any

import pytest

from fieldgate.storage.s3 import S3Storage
from tests.support.database import count_statements
from tests.support.gateway import Answer
from tests.support.lost_commits import lost_commit
from tests.support.s3 import LocalS3
from tests.support.sender import CHUNK, Sender, SentFile, some_bytes
from tests.support.sqs import LocalSqs

CONTENT = some_bytes(2 * CHUNK + 1)


@pytest.fixture
def upload(sender: Sender) -> SentFile:
    """A file of three chunks, the last of one byte."""
    return sender.begin(CONTENT)


def refused(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.error["code"]) == (status, code)


def messages(sqs: LocalSqs) -> list[str]:
    return [call["MessageBody"] for name, call in sqs.calls if name == "SendMessage"]


def test_it_is_accepted_and_the_assembler_is_asked(
    sender: Sender, upload: SentFile, sqs: LocalSqs
) -> None:
    sender.put_all(upload)
    answer = sender.complete(upload.id)
    assert answer.status == 202
    assert answer.data == {
        "uploadId": str(upload.id),
        "mediaId": str(upload.media_id),
        "state": "assembling",
    }
    assert sender.row(upload.id)["state"] == "assembling"
    assert messages(sqs) == [str(upload.id)]


def test_the_message_carries_the_request_id(
    sender: Sender, upload: SentFile, sqs: LocalSqs
) -> None:
    sender.put_all(upload)
    answer = sender.complete(upload.id)
    (record,) = sqs.receive()["Records"]
    sent = record["messageAttributes"]["request_id"]["stringValue"]
    assert sent == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("sent", "missing"), [([], [1, 2, 3]), ([1, 2], [3]), ([3], [1, 2]), ([1, 3], [2])]
)
def test_early_it_says_what_is_missing_and_changes_nothing(
    sender: Sender, upload: SentFile, sqs: LocalSqs, sent: list[int], missing: list[int]
) -> None:
    if sent:
        sender.put_all(upload, sent)
    answer = sender.complete(upload.id)
    refused(answer, 409, "CONFLICT")
    assert answer.error["details"] == [
        {"field": "missing", "message": str(number)} for number in missing
    ]
    assert sender.row(upload.id)["state"] == ("uploading" if sent else "created")
    assert messages(sqs) == []
    sender.put_all(upload, missing)
    assert sender.complete(upload.id).status == 202


def test_all_512_missing_chunks_are_named(sender: Sender) -> None:
    upload = sender.begin(some_bytes(512 * CHUNK))
    details = sender.complete(upload.id).error["details"]
    assert [int(detail["message"]) for detail in details] == list(range(1, 513))


def test_a_chunk_of_another_length_is_missing(
    sender: Sender, upload: SentFile, staging: S3Storage
) -> None:
    """From storage that didn't look at what was signed."""
    sender.put_all(upload, [1, 2])
    staging.put(
        f"staging/{upload.id}/00003-{'0' * 64}",
        b"two",
        content_type="text/plain",
        cache_control="private",
    )
    answer = sender.complete(upload.id)
    assert answer.error["details"] == [{"field": "missing", "message": "3"}]


def test_repeated_it_asks_again_and_once_complete_no_more(
    sender: Sender, upload: SentFile, sqs: LocalSqs
) -> None:
    sender.put_all(upload)
    assert [sender.complete(upload.id).status for _ in range(3)] == [202, 202, 202]
    assert messages(sqs) == [str(upload.id)] * 3
    sender.change(upload.id, state="completed")
    answer = sender.complete(upload.id)
    assert (answer.status, answer.data["state"]) == (200, "completed")
    assert len(messages(sqs)) == 3


def test_with_the_queue_down_it_is_a_503_and_repeated_it_asks_again(
    sender: Sender, upload: SentFile, sqs: LocalSqs
) -> None:
    sender.put_all(upload)
    sqs.refusing = True
    refused(sender.complete(upload.id), 503, "UNAVAILABLE")
    assert sender.row(upload.id)["state"] == "assembling"
    sqs.refusing = False
    sqs.calls.clear()
    assert sender.complete(upload.id).status == 202
    assert messages(sqs) == [str(upload.id)]


def test_without_a_queue_nothing_is_begun(
    sender: Sender, upload: SentFile, environment: pytest.MonkeyPatch
) -> None:
    environment.delenv("ASSEMBLY_QUEUE_URL")
    sender.put_all(upload)
    refused(sender.complete(upload.id), 500, "INTERNAL_ERROR")
    assert sender.row(upload.id)["state"] == "uploading"


@pytest.mark.parametrize("mode", ["down", "error"])
def test_with_storage_down_it_is_a_503_and_changes_nothing(
    sender: Sender, upload: SentFile, sqs: LocalSqs, s3: LocalS3, mode: Any
) -> None:
    sender.put_all(upload)
    s3.faults.set("s3", mode, 60)
    refused(sender.complete(upload.id), 503, "UNAVAILABLE")
    assert sender.row(upload.id)["state"] == "uploading"
    assert messages(sqs) == []
    # Once it is assembling, storage has no say in this.
    s3.faults.set("s3", mode, 0)
    assert sender.complete(upload.id).status == 202
    s3.faults.set("s3", mode, 60)
    assert sender.complete(upload.id).status == 202


@pytest.mark.parametrize("saved", [True, False])
def test_when_the_commit_is_lost_it_is_a_503_and_repeated_it_is_done(
    sender: Sender,
    upload: SentFile,
    sqs: LocalSqs,
    environment: pytest.MonkeyPatch,
    saved: bool,
) -> None:
    sender.put_all(upload)
    with lost_commit(sender.database, environment, saved=saved):
        refused(sender.complete(upload.id), 503, "UNAVAILABLE")
    assert sender.row(upload.id)["state"] == ("assembling" if saved else "uploading")
    assert messages(sqs) == []
    assert sender.complete(upload.id).status == 202
    assert messages(sqs) == [str(upload.id)]


def test_it_is_a_look_and_a_transaction_of_one_statement(sender: Sender, upload: SentFile) -> None:
    sender.put_all(upload)
    with count_statements(sender.database) as traffic:
        assert sender.complete(upload.id).status == 202
    assert (traffic.commits, traffic.rollbacks, len(traffic.statements)) == (1, 0, 2)
    assert traffic.round_trips == 3
