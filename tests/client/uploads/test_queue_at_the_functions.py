"""The offline queue against the real functions: killed in between, all is there once."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from fieldgate.db.tables.all import media
from fieldgate_client.api import Api
from fieldgate_client.database import Database
from fieldgate_client.offline_queue import Drained, OfflineQueue
from fieldgate_client.tokens import TokenStore
from fieldgate_client.uploads import UploadManager
from tests.support.phone import Field, Phone
from tests.support.s3 import ORIGINALS
from tests.support.sender import some_bytes

PROGRAM = Path(__file__).parents[1] / "queue_process.py"
PHOTO = {"folder": "farmers", "filename": "a.jpg", "contentType": "image/jpeg", "size": 9}


def with_queue[T](phone: Phone, work: Callable[[OfflineQueue], Awaitable[T]]) -> T:
    async def run() -> T:
        with Database(phone.disk) as database:
            async with Api(phone.server.url, TokenStore(database)) as api:
                uploads = UploadManager(api, database, parallel=lambda: 2, sleep=phone.sleep)
                return await work(OfflineQueue(database, api, uploads))

    return asyncio.run(run())


def killed_at(phone: Phone, step: str) -> None:
    command = [sys.executable, str(PROGRAM), str(phone.folder), phone.server.url, step]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL


def media_of(field: Field) -> int:
    return field.server.run(
        lambda: field.database.read(lambda c: len(c.execute(media.select()).all()))
    )


def test_a_request_whose_answer_was_not_noted_makes_one_thing_only(field: Field) -> None:
    phone = field.phone()

    async def add(queue: OfflineQueue) -> None:
        queue.add_request("POST", "/uploads/presign", PHOTO)

    with_queue(phone, add)
    killed_at(phone, "sent")

    assert with_queue(phone, OfflineQueue.drain) == Drained(sent=1)
    assert field.server.requests == [("POST", "/api/v1/uploads/presign")] * 2
    assert media_of(field) == 1


def test_an_upload_whose_end_was_not_noted_is_not_sent_again(field: Field) -> None:
    phone = field.phone()
    content = some_bytes(300_000)
    path = phone.write(content)

    async def add(queue: OfflineQueue) -> None:
        await queue.add_upload(path, "farmers")
        queue.add_request("POST", "/uploads/presign", PHOTO)

    with_queue(phone, add)
    killed_at(phone, "sent")
    asked = len(field.server.requests)

    assert with_queue(phone, OfflineQueue.drain) == Drained(sent=2)
    assert field.server.requests[asked:] == [("POST", "/api/v1/uploads/presign")]
    assert list(field.s3.stored(ORIGINALS).values()) == [content]
    assert media_of(field) == 2


def test_a_file_that_is_gone_does_not_keep_the_next_one(field: Field) -> None:
    phone = field.phone()
    gone, here = phone.write(b"gone", "gone.txt"), phone.write(b"here", "here.txt")

    async def add(queue: OfflineQueue) -> list[int]:
        return [await queue.add_upload(path, "farmers") for path in (gone, here)]

    first, _ = with_queue(phone, add)
    gone.unlink()

    assert with_queue(phone, OfflineQueue.drain) == Drained(sent=1, set_aside=1)

    async def try_again(queue: OfflineQueue) -> Drained:
        assert "can't be read" in str(queue.entries()[0].reason)
        gone.write_bytes(b"gone")
        assert queue.retry(first)
        return await queue.drain()

    assert with_queue(phone, try_again) == Drained(sent=1)
    assert sorted(field.s3.stored(ORIGINALS).values()) == [b"gone", b"here"]


def test_an_upload_that_is_dropped_is_given_up_at_the_server(field: Field) -> None:
    phone = field.phone()
    path = phone.write(some_bytes(300_000))

    async def add_and_fail(queue: OfflineQueue) -> None:
        await queue.add_upload(path, "farmers")
        field.s3.faults.set("s3", "error", 60)
        await queue.drain()
        field.s3.faults.set("s3", "error", 0)

    with_queue(phone, add_and_fail)
    assert [upload["state"] for upload in phone.server_uploads()] == ["failed"]

    async def drop(queue: OfflineQueue) -> bool:
        return await queue.drop(queue.entries()[0].id)

    assert with_queue(phone, drop)
    assert [upload["state"] for upload in phone.server_uploads()] == ["aborted"]
    assert field.s3.stored(ORIGINALS) == {}
