"""A larger file's way from phone to stored, in chunks over networks that break."""

import hashlib
import random
from collections.abc import Iterable
from typing import Any

import httpx
import pytest

from tests import photos
from tests.e2e.conftest import Stack, finished, send, wait_for

KIB, MIB = 1024, 1024 * 1024
PDF = "application/pdf"


def pdf(size: int) -> bytes:
    """Return what begins as a PDF does, differing in every chunk."""
    return (b"%PDF-1.7\n" + random.Random(size).randbytes(size))[:size]


def begin(phone: httpx.Client, body: bytes, **wishes: Any) -> dict[str, Any]:
    wish = {
        "folder": "client-documents",
        "filename": "contract.pdf",
        "contentType": PDF,
        "size": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    answer = phone.post("/api/v1/uploads", json=wish | wishes)
    assert answer.status_code == 201, answer.text
    upload: dict[str, Any] = answer.json()["data"]
    return upload


def chunk(upload: dict[str, Any], body: bytes, number: int) -> bytes:
    start = (number - 1) * upload["chunkSize"]
    return body[start : start + upload["chunkSize"]]


def sign(
    phone: httpx.Client, upload: dict[str, Any], body: bytes, numbers: Iterable[int]
) -> list[dict[str, Any]]:
    chunks = [
        {"number": n, "sha256": hashlib.sha256(chunk(upload, body, n)).hexdigest()} for n in numbers
    ]
    answer = phone.post(f"/api/v1/uploads/{upload['uploadId']}/urls", json={"chunks": chunks})
    assert answer.status_code == 200, answer.text
    urls: list[dict[str, Any]] = answer.json()["data"]["urls"]
    return urls


def send_all(
    phone: httpx.Client, upload: dict[str, Any], body: bytes, numbers: Iterable[int]
) -> None:
    for url in sign(phone, upload, body, numbers):
        assert send(url, chunk(upload, body, url["number"])).status_code == 200


def path(upload: dict[str, Any], step: str = "") -> str:
    return f"/api/v1/uploads/{upload['uploadId']}{step}"


def state_of(phone: httpx.Client, upload: dict[str, Any]) -> dict[str, Any]:
    answer = phone.get(path(upload))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


def assembled(phone: httpx.Client, upload: dict[str, Any]) -> dict[str, Any]:
    """Wait for the end of the assembly, within the limit of reads."""

    def ended() -> dict[str, Any] | None:
        found = state_of(phone, upload)
        return found if found["state"] != "assembling" else None

    return wait_for(ended, every=0.5)


def test_a_document_arrives_in_chunks_and_is_downloaded_whole(agent: httpx.Client) -> None:
    body = pdf(6 * MIB + 1)
    upload = begin(agent, body)
    assert (upload["chunkSize"], upload["chunkCount"]) == (512 * KIB, 13)
    assert state_of(agent, upload)["state"] == "created"
    numbers = [3, 1, 2, *range(13, 3, -1)]
    send_all(agent, upload, body, numbers[:5])
    found = state_of(agent, upload)
    assert found["state"] == "uploading"
    assert found["received"] == [1, 2, 3, 12, 13]
    early = agent.post(path(upload, "/complete"))
    assert early.status_code == 409
    assert {d["message"] for d in early.json()["error"]["details"]} == set(map(str, range(4, 12)))

    send_all(agent, upload, body, numbers[5:])
    completing = agent.post(path(upload, "/complete"))
    assert completing.status_code == 202
    assert completing.json()["data"]["state"] == "assembling"

    assert assembled(agent, upload)["state"] == "completed"
    assert agent.post(path(upload, "/complete")).status_code == 200
    media = agent.get(f"/api/v1/media/{upload['mediaId']}").json()["data"]
    assert media["state"] == "stored"
    assert media["sha256"] == hashlib.sha256(body).hexdigest()
    download = httpx.get(media["url"])
    assert download.content == body
    assert "contract.pdf" in download.headers["content-disposition"]


def test_a_photo_in_chunks_becomes_pictures(agent: httpx.Client) -> None:
    photo = photos.camera_jpeg(1600, 1200)
    upload = begin(agent, photo, filename="leaf.jpg", contentType="image/jpeg", chunkSize=100 * KIB)
    send_all(agent, upload, photo, range(1, upload["chunkCount"] + 1))
    assert agent.post(path(upload, "/complete")).status_code == 202
    assert assembled(agent, upload)["state"] == "completed"
    media = finished(agent, upload["mediaId"])
    assert media["state"] == "ready"
    assert media["sha256"] == hashlib.sha256(photo).hexdigest()


def test_what_was_given_up_is_gone_from_storage(stack: Stack, agent: httpx.Client) -> None:
    body = pdf(MIB)
    upload = begin(agent, body)
    send_all(agent, upload, body, [1])
    staging = staged(stack, upload)
    assert len(staging) == 1
    assert agent.delete(path(upload)).status_code == 204
    assert staged(stack, upload) == []
    assert agent.delete(path(upload)).status_code == 204
    assert agent.get(f"/api/v1/media/{upload['mediaId']}").status_code == 404
    assert agent.post(path(upload, "/complete")).status_code == 409


def test_another_users_upload_is_not_there(stack: Stack, agent: httpx.Client) -> None:
    body = pdf(MIB)
    upload = begin(agent, body)
    digest = hashlib.sha256(body).hexdigest()
    with stack.phone("agent") as other:
        answers = [
            other.get(path(upload)),
            other.post(path(upload, "/urls"), json={"chunks": [{"number": 1, "sha256": digest}]}),
            other.post(path(upload, "/failures"), json={"number": 1, "reason": "timeout"}),
            other.post(path(upload, "/resume")),
            other.post(path(upload, "/complete")),
            other.delete(path(upload)),
        ]
    assert [answer.status_code for answer in answers] == [404] * 6


def test_the_schedule_leaves_a_live_upload_alone(stack: Stack, agent: httpx.Client) -> None:
    body = pdf(MIB)
    upload = begin(agent, body)
    send_all(agent, upload, body, [1])
    done = stack.function("uploads.cleanup_uploads")["invocations"]
    answer = httpx.post(f"{stack.url}/_local/schedules/CleanupUploadsSchedule")
    assert answer.status_code == 202
    wait_for(lambda: stack.function("uploads.cleanup_uploads")["invocations"] > done)
    assert stack.function("uploads.cleanup_uploads")["errors"] == 0
    send_all(agent, upload, body, [2])
    assert agent.post(path(upload, "/complete")).status_code == 202
    assert assembled(agent, upload)["state"] == "completed"


# Without the database a run can't give its lease back, and the next waits two minutes for the end
# of that; tests/integration/uploads/assembly_faults/ tries it without the waiting.
@pytest.mark.parametrize("mode", ["down", "error", "slow"])
def test_an_outage_of_storage_in_the_middle_of_assembly_loses_nothing(
    stack: Stack, agent: httpx.Client, mode: str
) -> None:
    body = pdf(9 * MIB)
    upload = begin(agent, body)
    send_all(agent, upload, body, range(1, upload["chunkCount"] + 1))
    assert agent.post(path(upload, "/complete")).status_code == 202
    # The function is awake and at it by now, or about to be.
    stack.break_("s3", mode, 4)

    assert assembled(agent, upload)["state"] == "completed"

    media = agent.get(f"/api/v1/media/{upload['mediaId']}").json()["data"]
    assert media["sha256"] == hashlib.sha256(body).hexdigest()
    originals = stack.client("s3").list_object_versions(
        Bucket=bucket(stack, "originals"), Prefix=f"client-documents/{upload['mediaId']}"
    )
    assert [version["Size"] for version in originals["Versions"]] == [len(body)]
    wait_for(lambda: not staged(stack, upload))


def staged(stack: Stack, upload: dict[str, Any]) -> list[str]:
    found = stack.client("s3").list_objects_v2(
        Bucket=bucket(stack, "staging"), Prefix=f"staging/{upload['uploadId']}/"
    )
    return [entry["Key"] for entry in found.get("Contents", [])]


def bucket(stack: Stack, kind: str) -> str:
    names = [entry["Name"] for entry in stack.client("s3").list_buckets()["Buckets"]]
    return str(next(name for name in names if f"-{kind}-" in name))
