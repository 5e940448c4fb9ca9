"""What the server may say in between, and what the client makes of it."""

import asyncio
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from fieldgate_client.database import Database
from fieldgate_client.errors import ApiError, NetworkError, UploadCancelled, UploadFailed
from tests.support.phone import Field, Phone, Trouble
from tests.support.s3 import STAGING
from tests.support.sender import CHUNK, some_bytes

CONTENT = some_bytes(3 * CHUNK + 1)


def before(path_ends: str, do: object, times: int = 1) -> Trouble:
    """Do something before the first requests to such a path, where the server can't see it."""
    left = [times]

    async def trouble(request: httpx.Request) -> None:
        if request.url.path.endswith(path_ends) and left[0]:
            left[0] -= 1
            await asyncio.to_thread(do)  # type: ignore[arg-type]

    return trouble


def lose_chunk(phone: Phone, number: int) -> None:
    """Have storage lose a chunk that it took."""
    with closing(phone.s3.client()) as client:
        for key in phone.s3.stored(STAGING):
            if f"/{number:05}-" in key:
                client.delete_object(Bucket=STAGING, Key=key)


def asked_to(phone: Phone, path_ends: str) -> int:
    return len([path for _, path in phone.server.requests if path.endswith(path_ends)])


def test_what_the_server_misses_at_the_end_is_sent_again_and_nothing_else(field: Field) -> None:
    phone = field.phone()
    phone.api_trouble = before("/complete", lambda: lose_chunk(phone, 2))
    finished = phone.upload(phone.write(CONTENT))

    assert phone.arrived(finished) == CONTENT
    assert phone.sent.total() == len(CONTENT) + CHUNK
    assert asked_to(phone, "/complete") == 2


def test_storage_that_keeps_losing_chunks_is_not_fed_for_ever(field: Field) -> None:
    phone = field.phone()
    path = phone.write(CONTENT)
    phone.api_trouble = before("/complete", lambda: lose_chunk(phone, 4), times=99)
    with pytest.raises(UploadFailed, match="CHUNKS_KEEP_MISSING") as failed:
        phone.upload(path)
    assert failed.value.may_resume
    assert phone.sent.total() == len(CONTENT) + 9

    phone.api_trouble = None
    assert phone.arrived(phone.upload(path)) == CONTENT


def test_storage_may_lose_chunks_nine_times(field: Field) -> None:
    phone = field.phone()
    path = phone.write(CONTENT)
    phone.api_trouble = before("/complete", lambda: lose_chunk(phone, 4), times=9)

    assert phone.arrived(phone.upload(path)) == CONTENT
    assert phone.sent.total() == len(CONTENT) + 9


def test_an_upload_that_failed_in_the_middle_is_taken_up_by_the_next_run(field: Field) -> None:
    phone = field.phone()
    path = phone.write(CONTENT)
    fail = {"state": "failed", "failure_reason": "TOO_MANY_FAILURES"}
    phone.api_trouble = before("/complete", lambda: phone.change_at_server(**fail))
    with pytest.raises(UploadFailed, match="TOO_MANY_FAILURES") as failed:
        phone.upload(path)
    assert failed.value.may_resume

    assert phone.arrived(phone.upload(path)) == CONTENT
    assert asked_to(phone, "/resume") == 1
    assert phone.sent.total() == len(CONTENT)


def test_an_upload_that_is_given_up_while_it_is_taken_up_is_given_up(field: Field) -> None:
    phone = field.phone()
    path = phone.write(CONTENT)
    fail = {"state": "failed", "failure_reason": "TOO_MANY_FAILURES"}
    phone.api_trouble = before("/complete", lambda: phone.change_at_server(**fail))
    with pytest.raises(UploadFailed):
        phone.upload(path)

    give_up = {"state": "aborted", "failure_reason": None}
    phone.api_trouble = before("/resume", lambda: phone.change_at_server(**give_up))
    with pytest.raises(UploadCancelled):
        phone.upload(path)


def test_a_file_that_keeps_coming_out_wrong_is_sent_three_times_at_most(field: Field) -> None:
    phone = field.phone()
    path = phone.write(CONTENT)
    phone.trouble = before("", lambda: phone.change_at_server(sha256="0" * 64))
    with pytest.raises(UploadFailed, match="CHECKSUM_MISMATCH") as failed:
        phone.upload(path)
    assert failed.value.may_resume
    assert phone.sent.total() == 3 * len(CONTENT)


def test_a_key_that_names_another_request_is_replaced(field: Field) -> None:
    """Another version of the app wrote the request a little differently."""
    phone = field.phone()
    path = phone.write(CONTENT)
    phone.api_trouble = cut_answer_to_creation
    with pytest.raises(NetworkError):
        phone.upload(path)
    phone.api_trouble = None
    with Database(phone.disk) as database, database.transaction() as connection:
        connection.execute("UPDATE uploads SET filename = 'note.txt'")

    assert phone.arrived(phone.upload(path)) == CONTENT
    assert phone.sent.total() == len(CONTENT)


def test_a_key_that_always_names_another_request_is_not_called_forgotten(field: Field) -> None:
    error = {"code": "IDEMPOTENCY_KEY_REUSED", "message": "No.", "details": []}

    async def refuse(request: httpx.Request) -> httpx.Response:
        return httpx.Response(409, json={"success": False, "error": error})

    phone = field.phone(api_trouble=refuse)
    path = phone.write(CONTENT)
    with pytest.raises(UploadFailed, match="takes it for another request") as failed:
        phone.upload(path)
    assert failed.value.may_resume
    assert "forgetting" not in str(failed.value)

    phone.api_trouble = None
    assert phone.arrived(phone.upload(path)) == CONTENT


def test_a_server_that_is_down_is_no_reason_to_give_up(field: Field) -> None:
    phone = field.phone()
    path = phone.write(CONTENT)

    async def down(_: httpx.Request) -> httpx.Response:
        return httpx.Response(503)

    phone.api_trouble = down
    with pytest.raises(ApiError):
        phone.upload(path)
    local_id = phone.local_ids[path]
    phone.api_trouble = None
    assert phone.arrived(phone.upload(path)) == CONTENT
    assert local_id == phone.local_ids[path]


def test_cancelling_what_the_server_never_took_needs_no_more_than_that(field: Field) -> None:
    phone = field.phone()
    path: Path = phone.write(b"")
    phone.api_trouble = cut_answer_to_creation
    with pytest.raises(NetworkError):
        phone.upload(path)
    phone.api_trouble = None
    local_id = phone.local_ids[path]

    assert phone.do(lambda manager: manager.cancel(local_id)) is True
    assert phone.server_uploads() == []


async def cut_answer_to_creation(request: httpx.Request) -> None:
    if request.url.path.endswith("/uploads"):
        async with httpx.AsyncClient(verify=False) as client:
            content = await request.aread()
            await client.post(request.url, headers=request.headers, content=content)
        raise httpx.ReadError("the connection was cut", request=request)
