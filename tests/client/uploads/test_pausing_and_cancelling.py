"""Uploads that their user pauses or cancels."""

import asyncio

import httpx
import pytest

from fieldgate_client.database import Database
from fieldgate_client.errors import (
    NetworkError,
    UploadCancelled,
    UploadPaused,
)
from fieldgate_client.progress import Progress
from fieldgate_client.uploads import UploadManager
from tests.client.uploads.interrupting import (
    CONTENT,
    no_route,
    pending_of,
    stopped_in_the_middle,
    when,
)
from tests.support.phone import Field
from tests.support.s3 import STAGING
from tests.support.sender import CHUNK


def test_a_pause_lets_arrive_what_is_under_way_and_nothing_is_sent_twice(field: Field) -> None:
    phone = field.phone(parallel=2)
    path = phone.write(CONTENT)

    async def pause_at_the_first_chunk(manager: UploadManager) -> None:
        local_id = phone.local_ids[path] = await manager.add(path, "farmers")
        with pytest.raises(UploadPaused):
            await manager.run(local_id, lambda step: manager.pause(local_id) if step.sent else None)

    phone.do(pause_at_the_first_chunk)
    [pending] = phone.do(pending_of)
    assert pending.paused
    assert pending.acknowledged == phone.sent.total() == 2 * CHUNK

    assert phone.arrived(phone.upload(path)) == CONTENT
    assert phone.sent.total() == len(CONTENT)


def test_a_pause_is_heard_by_another_process(field: Field) -> None:
    phone = field.phone()
    path = phone.write(CONTENT)

    def pause_elsewhere() -> None:
        with Database(phone.disk) as database, database.transaction() as connection:
            connection.execute("UPDATE uploads SET paused = 1")

    phone.trouble = when(2, pause_elsewhere)
    with pytest.raises(UploadPaused):
        phone.upload(path)
    assert phone.sent.total() == 2 * CHUNK


def test_cancelling_ends_a_run_and_removes_what_has_arrived(field: Field) -> None:
    phone = field.phone()
    path = phone.write(CONTENT)

    async def cancel_in_the_middle(manager: UploadManager) -> bool:
        local_id = phone.local_ids[path] = await manager.add(path, "farmers")
        cancelled: list[asyncio.Task[bool]] = []

        def cancel(step: Progress) -> None:
            if step.acknowledged and not cancelled:
                cancelled.append(asyncio.create_task(manager.cancel(local_id)))

        with pytest.raises(UploadCancelled):
            await manager.run(local_id, cancel)
        return await cancelled[0]

    assert phone.do(cancel_in_the_middle) is True
    assert [upload["state"] for upload in phone.server_uploads()] == ["aborted"]
    assert field.s3.stored(STAGING) == {}
    assert phone.do(pending_of) == []
    with pytest.raises(UploadCancelled):
        phone.upload(path)


def test_what_was_never_sent_is_cancelled_without_a_network(field: Field) -> None:
    phone = field.phone(api_trouble=no_route)
    path = phone.write(CONTENT)

    async def add_and_cancel(manager: UploadManager) -> bool:
        return await manager.cancel(await manager.add(path, "farmers"))

    assert phone.do(add_and_cancel) is True
    assert phone.server_uploads() == []


def test_what_is_cancelled_without_a_network_is_removed_by_the_next_run(field: Field) -> None:
    phone = field.phone()
    path = phone.write(CONTENT)
    stopped_in_the_middle(phone, path)
    phone.api_trouble = no_route
    local_id = phone.local_ids[path]
    with pytest.raises(NetworkError):
        phone.do(lambda manager: manager.cancel(local_id))
    assert [pending.state for pending in phone.do(pending_of)] == ["cancelling"]

    phone.api_trouble = None
    with pytest.raises(UploadCancelled):
        phone.upload(path)
    assert [upload["state"] for upload in phone.server_uploads()] == ["aborted"]


def test_cancelling_finds_an_upload_whose_creation_was_never_answered(field: Field) -> None:
    async def lose(request: httpx.Request) -> None:
        async with httpx.AsyncClient(verify=False) as client:
            content = await request.aread()
            await client.request("POST", request.url, headers=request.headers, content=content)
        raise httpx.ReadError("cut", request=request)

    phone = field.phone(api_trouble=lose)
    path = phone.write(CONTENT)
    with pytest.raises(NetworkError):
        phone.upload(path)
    phone.api_trouble = None
    local_id = phone.local_ids[path]

    assert phone.do(lambda manager: manager.cancel(local_id)) is True
    assert [upload["state"] for upload in phone.server_uploads()] == ["aborted"]


def test_cancelling_comes_too_late_for_what_has_arrived(field: Field) -> None:
    phone = field.phone()
    path = phone.write(CONTENT)
    finished = phone.upload(path)
    local_id = phone.local_ids[path]

    assert phone.do(lambda manager: manager.cancel(local_id)) is False
    # Nor does it matter whether we have heard of it.
    with Database(phone.disk) as database, database.transaction() as connection:
        connection.execute("UPDATE uploads SET state = 'sending'")
    assert phone.do(lambda manager: manager.cancel(local_id)) is False
    assert phone.arrived(finished) == CONTENT
