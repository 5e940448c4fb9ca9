"""The sample events in events/ are real in shape: each one, with its ids filled in, succeeds."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, insert

from fieldgate.authorizer import AuthorizerContext
from fieldgate.db.engine import Database
from fieldgate.db.tables.all import media, uploads, users
from fieldgate.storage.s3 import S3Storage
from tests.support.gateway import Handler, LambdaContext, signed_in
from tests.support.media import Darkroom, all_rows
from uploads import (
    abort_upload,
    complete_upload,
    create_upload,
    delete_media,
    get_media,
    get_upload,
    list_media,
    on_media_uploaded,
    presign_upload,
    report_failure,
    resume_upload,
    sign_chunks,
    staged_chunks,
)

EVENTS = Path(__file__).parents[3] / "events"
SAMPLE_CALLER = UUID("01989f3c-7a5e-7b7e-8a34-52b1c0a9d001")
SAMPLE_MEDIA = UUID("0198a5b6-4c1d-7a2e-9b3f-6d5e4f3a2b1c")
SAMPLE_UPLOAD = UUID("0198a5b6-4c1d-7a2e-9b3f-6d5e4f3a2b1d")

HTTP_SAMPLES: dict[str, tuple[Handler, int]] = {
    "presign_upload": (presign_upload.handler, 201),
    "get_media": (get_media.handler, 200),
    "list_media": (list_media.handler, 200),
    "delete_media": (delete_media.handler, 204),
    "create_upload": (create_upload.handler, 201),
    "sign_chunks": (sign_chunks.handler, 200),
    "get_upload": (get_upload.handler, 200),
    "report_failure": (report_failure.handler, 200),
    "resume_upload": (resume_upload.handler, 200),
    "complete_upload": (complete_upload.handler, 202),
    "abort_upload": (abort_upload.handler, 204),
}


def sample(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return event


@pytest.fixture
def sample_media(deployed: Database, darkroom: Darkroom) -> UUID:
    """The caller and the media that the samples speak of."""
    person = {"id": SAMPLE_CALLER, "name": "Grower", "phone": "+254711999999"}
    photo = {
        "id": SAMPLE_MEDIA,
        "owner_id": SAMPLE_CALLER,
        "folder": "farmers",
        "filename": "leaf.jpg",
        "content_type": "image/jpeg",
        "size": 1,
        "object_key": f"farmers/{SAMPLE_MEDIA}.jpg",
    }
    deployed.transact(lambda connection: connection.execute(insert(users).values(person)))
    deployed.transact(lambda connection: connection.execute(insert(media).values(photo)))
    return SAMPLE_MEDIA


@pytest.fixture
def sample_upload(sample_media: UUID, deployed: Database, staging: S3Storage) -> UUID:
    """The upload that the samples speak of, with its three chunks in storage."""
    upload = {
        "id": SAMPLE_UPLOAD,
        "media_id": sample_media,
        "owner_id": SAMPLE_CALLER,
        "object_key": f"farmers/{sample_media}.jpg",
        "content_type": "image/jpeg",
        "size": 2 * 524_288 + 1,
        "chunk_size": 524_288,
        "state": "uploading",
        "expires_at": func.now() + timedelta(hours=1),
    }
    deployed.transact(lambda connection: connection.execute(insert(uploads).values(upload)))
    for number, length in enumerate((524_288, 524_288, 1), start=1):
        key = staged_chunks.key_of(SAMPLE_UPLOAD, number, bytes(32))
        staging.put(key, bytes(length), content_type="text/plain", cache_control="private")
    return SAMPLE_UPLOAD


@pytest.mark.parametrize("name", HTTP_SAMPLES)
def test_an_http_sample_succeeds(sample_upload: UUID, name: str) -> None:
    handler, status = HTTP_SAMPLES[name]
    answer = handler(sample(name), None)
    assert answer["statusCode"] == status, answer
    assert answer["headers"]["x-request-id"] == sample(name)["headers"]["x-request-id"]
    if status != 204:
        assert json.loads(answer["body"])["success"] is True


def test_the_presign_sample_makes_a_media_of_its_caller(sample_media: UUID) -> None:
    body = json.loads(presign_upload.handler(sample("presign_upload"), None)["body"])
    assert "x-amz-checksum-sha256" in body["data"]["headers"]


def test_the_read_samples_find_the_media(sample_media: UUID) -> None:
    one = json.loads(get_media.handler(sample("get_media"), None)["body"])
    page = json.loads(list_media.handler(sample("list_media"), None)["body"])
    assert one["data"]["id"] == str(sample_media)
    assert [item["id"] for item in page["data"]] == [str(sample_media)]


def test_the_samples_of_an_upload_are_of_one_upload(
    sample_upload: UUID, deployed: Database
) -> None:
    for name in ("sign_chunks", "report_failure", "complete_upload"):
        HTTP_SAMPLES[name][0](sample(name), None)
    looked_at = json.loads(get_upload.handler(sample("get_upload"), None)["body"])["data"]
    assert (looked_at["uploadId"], looked_at["state"]) == (str(sample_upload), "assembling")
    assert looked_at["consecutiveFailures"] == 1


def test_the_delete_sample_deletes_it(sample_media: UUID, deployed: Database) -> None:
    delete_media.handler(sample("delete_media"), None)
    assert all_rows(deployed) == []


@pytest.mark.parametrize("name", HTTP_SAMPLES)
def test_an_http_sample_has_the_authorizers_context_in_its_shape(
    deployed: Database, name: str
) -> None:
    found = AuthorizerContext.from_event(sample(name)).claims
    issued = AuthorizerContext.from_event(
        {"requestContext": {"authorizer": {"lambda": signed_in(SAMPLE_CALLER)}}}
    ).claims
    assert found is not None
    assert issued is not None
    assert {key: type(value) for key, value in found.items()} == {
        key: type(value) for key, value in issued.items()
    }


def test_the_queue_sample_makes_the_media_ready(darkroom: Darkroom, deployed: Database) -> None:
    uploaded = darkroom.upload()
    event = sample("on_media_uploaded")
    (record,) = event["Records"]
    notification = json.loads(record["body"])
    notification["Records"][0]["s3"]["object"]["key"] = uploaded.object_key
    record["body"] = json.dumps(notification)
    assert on_media_uploaded.handler(event, LambdaContext()) == {"batchItemFailures": []}
    assert darkroom.row(uploaded)["state"] == "ready"
