"""A server that says what no server of ours says: nothing of it is kept, and nobody is held up."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import delete, func

from fieldgate.db.tables.all import uploads
from fieldgate_client.api import Api
from fieldgate_client.database import Database
from fieldgate_client.errors import NetworkError, NotUnderstood, UploadFailed
from fieldgate_client.offline_queue import Drained, OfflineQueue
from fieldgate_client.policy import Policy
from fieldgate_client.tokens import TokenStore
from fieldgate_client.upload_store import UploadStore
from tests.support.phone import Field, Phone, retold
from tests.support.s3 import ORIGINALS
from tests.support.sender import CHUNK, some_bytes

CONTENT = some_bytes(2 * CHUNK + 1)


def saying(path_ends: str, **values: Any) -> Callable[[httpx.Request], Any]:
    return retold(path_ends, lambda data: data.update(values))


@pytest.mark.parametrize("terms", [{"chunkSize": 0}, {"chunkCount": 4}, {"policy": {}}], ids=str)
def test_terms_that_nobody_can_send_by_are_not_kept(field: Field, terms: dict[str, Any]) -> None:
    phone = field.phone(api_trouble=saying("/uploads", **terms))
    path = phone.write(CONTENT)
    with pytest.raises(UploadFailed, match="NOT_UNDERSTOOD") as failed:
        phone.upload(path)

    assert failed.value.may_resume
    with Database(phone.disk) as database:
        record = UploadStore(database).find(phone.local_ids[path])
        assert UploadStore(database).chunks(record.id) == []
    assert (record.state, record.upload_id, record.policy) == ("failed", None, None)
    assert record.chunk_size == CHUNK

    # The same key finds the same upload when the server has come to itself.
    phone.api_trouble = None
    assert phone.arrived(phone.upload(path)) == CONTENT
    assert len(phone.server_uploads()) == 1


@pytest.mark.parametrize(
    ("path_ends", "values"),
    [
        ("/uploads", {"chunkSize": 0}),
        ("/urls", {"urls": []}),
        ("/complete", {"state": "elsewhere"}),
    ],
)
def test_a_strange_answer_about_one_file_does_not_keep_the_next_one(
    field: Field, path_ends: str, values: dict[str, Any]
) -> None:
    phone = field.phone()
    first, second = phone.write(b"first", "first.txt"), phone.write(b"second", "second.txt")

    async def send() -> Drained:
        async with phone.awake() as manager:
            with Database(phone.disk) as database:
                async with Api(phone.server.url, TokenStore(database)) as api:
                    queue = OfflineQueue(database, api, manager)
                    await queue.add_upload(first, "farmers")
                    await queue.add_upload(second, "farmers")
                    return await queue.drain()

    times = iter([True])

    async def first_time(request: httpx.Request) -> httpx.Response | None:
        if request.url.path.endswith(path_ends) and next(times, False):
            answer: httpx.Response = await saying(path_ends, **values)(request)
            return answer
        return None

    phone.api_trouble = first_time
    assert asyncio.run(send()) == Drained(sent=1, set_aside=1)
    assert b"second" in field.s3.stored(ORIGINALS).values()
    assert asyncio.run(send()) == Drained(sent=2)


@pytest.mark.parametrize("kept", ["{}", "no json", "[]", '{"partTimeoutSeconds": "x"}', "null"])
def test_a_policy_that_was_kept_and_cannot_be_read_is_ours(field: Field, kept: str) -> None:
    phone = field.phone(parallel=0)
    path = phone.write(CONTENT)
    with pytest.raises(NetworkError):
        phone.upload(path)
    with Database(phone.disk) as database:
        with database.transaction() as connection:
            connection.execute("UPDATE uploads SET policy = ?", [kept])
        assert UploadStore(database).find(phone.local_ids[path]).agreed_policy == Policy()

    phone.parallel = 1
    assert phone.arrived(phone.upload(path)) == CONTENT


@pytest.mark.parametrize("view", [{"state": "elsewhere"}, {"missing": [999]}], ids=str)
def test_an_upload_as_no_upload_is(field: Field, view: dict[str, Any]) -> None:
    phone = field.phone()
    path = phone.write(CONTENT)
    strange = saying("", **view)

    async def of_the_upload(request: httpx.Request) -> httpx.Response | None:
        if request.method != "GET":
            return None
        answer: httpx.Response = await strange(request)
        return answer

    phone.api_trouble = of_the_upload
    with pytest.raises(UploadFailed, match=r"NOT_UNDERSTOOD: .*Not the server's answer"):
        phone.upload(path)
    assert not phone.sent

    phone.api_trouble = None
    assert phone.arrived(phone.upload(path)) == CONTENT


def test_a_chunk_is_said_to_be_missing_that_there_is_not(field: Field) -> None:
    details = [{"field": "missing", "message": "999"}]
    error = {"code": "CONFLICT", "message": "No.", "details": details}

    async def refuse(request: httpx.Request) -> httpx.Response | None:
        if not request.url.path.endswith("/complete"):
            return None
        return httpx.Response(409, json={"success": False, "error": error})

    phone = field.phone(api_trouble=refuse)
    path = phone.write(CONTENT)
    with pytest.raises(UploadFailed, match=r"NOT_UNDERSTOOD: .*Not the server's answer"):
        phone.upload(path)
    phone.api_trouble = None
    assert phone.arrived(phone.upload(path)) == CONTENT


def test_leave_to_send_that_is_lacking_is_asked_for_by_the_next_run(field: Field) -> None:
    phone = field.phone(api_trouble=saying("/urls", urls=[]))
    path = phone.write(CONTENT)
    with pytest.raises(UploadFailed, match=r"NOT_UNDERSTOOD: .*no URL for chunk 1"):
        phone.upload(path)
    assert not phone.sent

    phone.api_trouble = None
    assert phone.arrived(phone.upload(path)) == CONTENT


def test_a_report_that_is_answered_strangely_ends_the_upload_and_not_the_queue(
    field: Field,
) -> None:
    async def refuse(_: httpx.Request) -> httpx.Response:
        return httpx.Response(400)

    phone = field.phone(trouble=refuse, api_trouble=saying("/failures", state=7))
    path = phone.write(CONTENT)
    with pytest.raises(UploadFailed, match="NOT_UNDERSTOOD") as failed:
        phone.upload(path)
    assert failed.value.may_resume

    phone.trouble = phone.api_trouble = None
    assert phone.arrived(phone.upload(path)) == CONTENT


def test_an_upload_without_a_name_can_be_given_up(field: Field) -> None:
    phone = field.phone(api_trouble=saying("/uploads", uploadId="../auth/me"))
    path = phone.write(CONTENT)
    with pytest.raises(UploadFailed, match="NOT_UNDERSTOOD"):
        phone.upload(path)

    local_id = phone.local_ids[path]
    assert phone.do(lambda manager: manager.cancel(local_id)) is True
    with Database(phone.disk) as database:
        assert UploadStore(database).find(local_id).state == "cancelled"


async def nothing_in_it(request: httpx.Request) -> httpx.Response | None:
    return httpx.Response(204) if request.method == "GET" else None


def test_an_answer_without_the_envelope_is_the_networks(field: Field) -> None:
    phone = field.phone(api_trouble=nothing_in_it)
    path = phone.write(CONTENT)
    with pytest.raises(NetworkError, match="Not the server's answer") as failed:
        phone.upload(path)
    assert not isinstance(failed.value, NotUnderstood)

    phone.api_trouble = None
    assert phone.arrived(phone.upload(path)) == CONTENT


class Endless(httpx.AsyncByteStream):
    def __init__(self) -> None:
        self.came = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            self.came += 65536
            yield bytes(65536)


def test_no_answer_fills_the_memory(field: Field) -> None:
    endless = Endless()
    accepted: list[str] = []

    async def pour(request: httpx.Request) -> httpx.Response | None:
        accepted.append(request.headers["Accept-Encoding"])
        return httpx.Response(200, stream=endless) if request.method == "GET" else None

    phone = field.phone(api_trouble=pour)
    path = phone.write(CONTENT)
    with pytest.raises(NetworkError, match="too long"):
        phone.upload(path)
    assert endless.came <= 4 * (1024 * 1024 + 65536)

    endless.came = 0

    async def pour_of_storage(request: httpx.Request) -> httpx.Response | None:
        accepted.append(request.headers["Accept-Encoding"])
        return httpx.Response(403, stream=endless) if endless.came < 65536 else None

    phone.api_trouble, phone.trouble = None, pour_of_storage
    assert phone.arrived(phone.upload(path)) == CONTENT
    assert endless.came <= 2 * 65536
    assert set(accepted) == {"identity"}


def forget_uploads(phone: Phone) -> None:
    """Have the server forget uploads, as it does a week after their end."""
    phone.server.run(lambda: phone.database.transact(lambda c: c.execute(delete(uploads))))


def test_what_had_arrived_before_the_server_forgot_how_is_not_sent_again(field: Field) -> None:
    """Killed after `complete`, the phone is switched on again after a week."""
    phone = field.phone()
    path = phone.write(CONTENT)
    finished = phone.upload(path)
    local_id = phone.local_ids[path]
    with Database(phone.disk) as database, database.transaction() as connection:
        connection.execute("UPDATE uploads SET state = 'completing'")
    forget_uploads(phone)
    path.unlink()

    again = phone.upload(path)

    assert again.media_id == finished.media_id
    assert again.progress.sent == again.progress.acknowledged == len(CONTENT)
    assert phone.sent.total() == len(CONTENT)
    assert list(field.s3.stored(ORIGINALS).values()) == [CONTENT]

    # Nor is it given up any more.
    with Database(phone.disk) as database, database.transaction() as connection:
        connection.execute("UPDATE uploads SET state = 'completing'")
    assert phone.do(lambda manager: manager.cancel(local_id)) is False
    assert field.s3.stored(ORIGINALS)


@pytest.mark.parametrize(
    "media",
    [
        {"state": "pending"},
        {"state": "rejected"},
        {"sha256": hashlib.sha256(b"another").hexdigest()},
        {"sha256": None},
    ],
    ids=str,
)
def test_a_media_that_is_not_this_file_arrived_is_no_arrival(
    field: Field, media: dict[str, Any]
) -> None:
    phone = field.phone()
    path = phone.write(CONTENT)
    first = phone.upload(path)
    with Database(phone.disk) as database, database.transaction() as connection:
        connection.execute("UPDATE uploads SET state = 'completing'")
    forget_uploads(phone)

    phone.api_trouble = saying(f"/media/{first.media_id}", **media)
    again = phone.upload(path)

    assert again.media_id != first.media_id
    assert phone.arrived(again) == CONTENT


def test_an_upload_may_expire_again_days_after_it_was_begun_anew(field: Field) -> None:
    phone = field.phone()
    path = phone.write(CONTENT)

    async def lose_the_network(_: httpx.Request) -> None:
        phone.parallel = 0

    for _ in range(3):
        phone.parallel, phone.trouble = 1, lose_the_network
        with pytest.raises(NetworkError, match="no network"):
            phone.upload(path)
        assert phone.sent.total()
        phone.change_at_server(expires_at=func.now() - timedelta(seconds=1))

    phone.parallel, phone.trouble = 1, None
    assert phone.arrived(phone.upload(path)) == CONTENT
    assert len(phone.server_uploads()) == 4
