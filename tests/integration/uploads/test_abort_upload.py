"""Giving up what is on its way, by DELETE /uploads/{id} or by deleting its media."""

from typing import Any

import pytest

from fieldgate.storage import StorageError
from fieldgate.storage.s3 import S3Storage
from tests.support.database import count_statements
from tests.support.gateway import Answer, call
from tests.support.log import Log
from tests.support.media import put, row_of
from tests.support.s3 import LocalS3
from tests.support.sender import CHUNK, Sender, SentFile, some_bytes
from uploads import delete_media

CONTENT = some_bytes(CHUNK + 1)
LIVE = ["created", "uploading", "failed", "assembling"]


@pytest.fixture
def upload(sender: Sender) -> SentFile:
    sent = sender.begin(CONTENT)
    sender.put_all(sent)
    return sent


def bring_to(sender: Sender, upload: SentFile, state: str) -> None:
    reason = "TOO_MANY_FAILURES" if state == "failed" else None
    sender.change(upload.id, state=state, failure_reason=reason)


def delete(sender: Sender, upload: SentFile) -> Answer:
    path = f"/api/v1/media/{upload.media_id}"
    return call(delete_media.handler, "DELETE", path, authorizer=sender.caller)


def test_its_chunks_are_removed_at_once(sender: Sender, upload: SentFile) -> None:
    assert len(sender.staged()) == 2
    assert sender.abort(upload.id).status == 204
    assert sender.staged() == {}


def test_again_it_is_fine(sender: Sender, upload: SentFile) -> None:
    assert [sender.abort(upload.id).status for _ in range(3)] == [204, 204, 204]


@pytest.mark.parametrize("mode", ["down", "error"])
def test_with_storage_down_it_is_done_and_the_chunks_left_to_the_clean_up(
    sender: Sender, upload: SentFile, s3: LocalS3, log: Log, mode: Any
) -> None:
    s3.faults.set("s3", mode, 60)
    assert sender.abort(upload.id).status == 204
    assert sender.row(upload.id)["state"] == "aborted"
    assert log.said("chunks left for the clean-up")
    assert len(sender.staged()) == 2
    assert sender.row(upload.id)["cleaned_at"] is None


def test_storage_that_refuses_is_not_the_phones_business(
    sender: Sender, upload: SentFile, environment: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object) -> None:
        raise StorageError("AccessDenied")

    environment.setattr(S3Storage, "delete", refuses)
    assert sender.abort(upload.id).status == 204


def test_a_chunk_that_comes_after_it_changes_nothing(sender: Sender, upload: SentFile) -> None:
    (signed,) = sender.sign_these(upload, [1]).data["urls"]
    assert sender.abort(upload.id).status == 204
    assert put(signed, upload.chunk(1)).status_code == 200
    view = sender.get(upload.id).data
    assert (view["state"], view["received"]) == ("aborted", [])
    # The clean-up knows until when such a thing may come.
    assert sender.row(upload.id)["last_signed_at"] is not None


def test_it_is_one_transaction(sender: Sender, upload: SentFile) -> None:
    with count_statements(sender.database) as traffic:
        assert sender.abort(upload.id).status == 204
    assert (traffic.commits, len(traffic.statements), traffic.round_trips) == (1, 2, 3)


# By deleting its media


@pytest.mark.parametrize("state", LIVE)
def test_deleting_its_media_gives_a_live_upload_up(
    sender: Sender, upload: SentFile, state: str
) -> None:
    bystander = sender.begin(CONTENT)
    sender.put_all(bystander)
    bring_to(sender, upload, state)
    assert delete(sender, upload).status == 204
    row = sender.row(upload.id)
    assert (row["state"], row["failure_reason"]) == ("aborted", None)
    assert row_of(sender.database, upload.media_id) is None
    assert sender.row(bystander.id)["state"] == "uploading"
    assert len(sender.staged()) == bystander.count


@pytest.mark.parametrize("state", ["completed", "expired", "aborted"])
def test_what_is_over_stays_as_it_is(sender: Sender, upload: SentFile, state: str) -> None:
    bring_to(sender, upload, state)
    assert delete(sender, upload).status == 204
    assert sender.row(upload.id)["state"] == state


def test_from_the_moment_that_it_is_hidden_no_chunk_is_signed(
    sender: Sender, upload: SentFile, s3: LocalS3
) -> None:
    s3.faults.set("s3", "down", 60)
    assert delete(sender, upload).status == 503
    assert sender.sign_these(upload, [1]).status == 409
    assert sender.complete(upload.id).status == 409
    s3.faults.set("s3", "down", 0)
    assert delete(sender, upload).status == 204
    assert row_of(sender.database, upload.media_id) is None


def test_a_stranger_gives_nothing_up(sender: Sender, stranger: Sender, upload: SentFile) -> None:
    assert delete(stranger, upload).status == 404
    assert sender.row(upload.id)["state"] == "uploading"
    assert len(sender.staged()) == 2
