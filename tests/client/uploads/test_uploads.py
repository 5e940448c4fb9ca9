"""Uploads of the reference client against the real functions, storage and assembler."""

import asyncio
import hashlib
import itertools
import json
import os
import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from moto.backends import get_backend
from moto.core.models import DEFAULT_ACCOUNT_ID
from sqlalchemy import delete, func

from fieldgate.db.tables.all import uploads
from fieldgate_client.errors import (
    FileChanged,
    UploadFailed,
)
from fieldgate_client.progress import Progress
from fieldgate_client.uploads import UploadManager
from tests.client.uploads.interrupting import CONTENT, pending_of, stopped_in_the_middle, when
from tests.support.phone import Field
from tests.support.s3 import STAGING
from tests.support.sender import CHUNK, some_bytes

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("size", [1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5, 40 * CHUNK])
def test_a_file_arrives_whole_and_each_chunk_is_sent_once(field: Field, size: int) -> None:
    phone = field.phone(parallel=3)
    content = some_bytes(size)

    finished = phone.upload(phone.write(content))

    assert phone.arrived(finished) == content
    assert phone.sent.total() == size
    assert len(phone.sent) == -(-size // CHUNK)
    assert finished.progress.acknowledged == finished.progress.sent == size
    assert phone.do(pending_of) == []


def test_chunks_are_512_kib_and_the_server_says_so(field: Field) -> None:
    phone = field.phone(options={"chunk_bytes": 512 * 1024})
    phone.upload(phone.write(some_bytes(1024 * 1024 + 1)))
    assert sorted(phone.sent.values()) == [1, 512 * 1024, 512 * 1024]

    phone = field.phone(options={"chunk_bytes": 1})
    phone.upload(phone.write(some_bytes(100 * 1024 + 1)))
    assert sorted(phone.sent.values()) == [1, 100 * 1024]


@pytest.mark.parametrize(
    ("name", "size", "reason"),
    [
        ("notes.txt", 0, "VALIDATION_ERROR"),
        ("notes.txt", 50 * 1024 * 1024 + 1, "PAYLOAD_TOO_LARGE"),
        ("notes.exe", 5, "UNSUPPORTED_MEDIA_TYPE"),
    ],
)
def test_what_the_server_does_not_take_is_refused_for_good(
    field: Field, name: str, size: int, reason: str
) -> None:
    phone = field.phone()
    path = phone.write(b"", name)
    with path.open("wb") as file:
        file.truncate(size)
    for _ in range(2):
        with pytest.raises(UploadFailed) as failed:
            phone.upload(path)
        assert (failed.value.reason, failed.value.may_resume) == (reason, False)
    assert not phone.sent
    assert phone.do(pending_of) == []


def test_a_file_that_is_not_what_its_name_says_is_refused_with_the_servers_reason(
    field: Field,
) -> None:
    phone = field.phone()
    path = phone.write(CONTENT, "contract.pdf")
    for _ in range(2):
        with pytest.raises(UploadFailed) as failed:
            phone.upload(path)
        assert (failed.value.reason, failed.value.may_resume) == ("TYPE_MISMATCH", False)
    assert phone.sent.total() == len(CONTENT)


def test_a_file_that_changes_in_the_middle_is_not_mixed_with_what_it_was(field: Field) -> None:
    phone = field.phone()
    path = phone.write(CONTENT)
    phone.trouble = when(2, lambda: path.write_bytes(CONTENT[::-1]))
    for _ in range(2):
        with pytest.raises(FileChanged):
            phone.upload(path)
        phone.trouble = None
    assert len(phone.sent) == 2
    [pending] = phone.do(pending_of)
    assert (pending.state, pending.failure_reason) == ("failed", "FILE_CHANGED")

    path.write_bytes(CONTENT)
    assert phone.arrived(phone.upload(path)) == CONTENT


def test_a_file_that_vanishes_in_the_middle_goes_on_when_it_is_back(field: Field) -> None:
    phone = field.phone()
    path = phone.write(CONTENT)
    elsewhere = path.with_suffix(".moved")
    phone.trouble = when(2, lambda: path.rename(elsewhere))
    with pytest.raises(FileChanged):
        phone.upload(path)

    phone.trouble = None
    elsewhere.rename(path)
    assert phone.arrived(phone.upload(path)) == CONTENT
    assert phone.sent.total() == len(CONTENT)


def test_a_file_that_was_only_touched_is_the_same_file(field: Field) -> None:
    phone = field.phone()
    path = phone.write(CONTENT)
    stopped_in_the_middle(phone, path)
    path.touch()

    assert phone.arrived(phone.upload(path)) == CONTENT


def test_all_that_was_sent_already_needs_no_file_any_more(field: Field) -> None:
    phone = field.phone()
    path = phone.write(CONTENT)
    phone.trouble = when(4, path.unlink)

    assert phone.arrived(phone.upload(path)) == CONTENT


def test_what_is_added_twice_is_one_upload_until_it_has_arrived(field: Field) -> None:
    phone = field.phone()
    path = phone.write(CONTENT)

    async def add_twice(manager: UploadManager) -> list[str]:
        return [await manager.add(path, "farmers"), await manager.add(path, "farmers")]

    first, second = phone.do(add_twice)
    assert first == second
    phone.do(lambda manager: manager.run(first))
    assert phone.do(lambda manager: manager.add(path, "farmers")) != first


def test_a_file_that_is_not_there_cannot_be_added(field: Field) -> None:
    phone = field.phone()
    with pytest.raises(FileChanged):
        phone.do(lambda manager: manager.add(phone.folder / "nothing.txt", "farmers"))


@pytest.mark.parametrize("how", ["expired", "gone"])
def test_an_upload_that_the_server_forgets_is_begun_anew_once(field: Field, how: str) -> None:
    def forget() -> None:
        if how == "expired":
            phone.change_at_server(expires_at=func.now() - timedelta(seconds=1))
        else:
            phone.server.run(lambda: phone.database.transact(lambda c: c.execute(delete(uploads))))

    phone = field.phone()
    path = phone.write(CONTENT)
    phone.trouble = when(4, lambda: asyncio.to_thread(forget))
    finished = phone.upload(path)

    assert phone.arrived(finished) == CONTENT
    assert finished.progress.resent_bytes == len(CONTENT)

    phone = field.phone()
    path = phone.write(CONTENT)

    async def always(_: httpx.Request) -> None:
        await asyncio.to_thread(forget)

    phone.trouble = always
    with pytest.raises(UploadFailed) as failed:
        phone.upload(path)
    assert failed.value.reason == {"expired": "GONE", "gone": "NOT_FOUND"}[how]
    assert failed.value.may_resume

    phone.trouble = None
    assert phone.arrived(phone.upload(path)) == CONTENT


def test_a_file_that_was_put_together_wrongly_is_sent_again(field: Field) -> None:
    """Somebody with leave for other bytes came last; the server notices by the whole digest."""
    phone = field.phone()

    def put_other_bytes() -> None:
        [upload] = phone.server_uploads()
        ours = hashlib.sha256(CONTENT[:CHUNK]).hexdigest()
        # Later, but before ours by name: of two that came in the same second, the name decides.
        other = next(
            content
            for number in itertools.count()
            if hashlib.sha256(content := b"%0*d" % (CHUNK, number)).hexdigest() < ours
        )
        digest = hashlib.sha256(other).hexdigest()
        staged = get_backend("s3")[DEFAULT_ACCOUNT_ID]["aws"].buckets[STAGING].keys
        for stored in staged.values():
            stored.last_modified -= timedelta(minutes=1)
        with closing(field.s3.client()) as client:
            key = f"staging/{upload['id']}/00001-{digest}"
            client.put_object(Bucket=STAGING, Key=key, Body=other)

    phone.api_trouble = when(4, lambda: asyncio.to_thread(put_other_bytes))  # complete
    finished = phone.upload(phone.write(CONTENT))

    assert phone.arrived(finished) == CONTENT
    assert finished.progress.resent_bytes == len(CONTENT)
    assert [path for _, path in phone.server.requests if path.endswith("/resume")]


def test_two_managers_on_one_upload_take_turns(field: Field) -> None:
    phone = field.phone()
    path = phone.write(CONTENT)

    async def both() -> None:
        async with phone.awake() as one, phone.awake() as other:
            local_id = await one.add(path, "farmers")
            results = await asyncio.gather(
                one.run(local_id), other.run(local_id), one.run(local_id), return_exceptions=True
            )
            assert [type(result).__name__ for result in results].count("UploadBusy") == 2
            finished = await other.run(local_id)
            assert finished.upload_id in [getattr(result, "upload_id", None) for result in results]

    asyncio.run(both())
    assert phone.sent.total() == len(CONTENT)
    with pytest.raises(KeyError):
        phone.do(lambda manager: manager.run("nothing"))


def test_a_run_that_its_caller_gives_up_can_be_taken_up_again(field: Field) -> None:
    phone = field.phone()
    path = phone.write(CONTENT)

    async def give_up(manager: UploadManager) -> None:
        local_id = phone.local_ids[path] = await manager.add(path, "farmers")

        def leave(step: Progress) -> None:
            if step.acknowledged:
                run.cancel()

        run = asyncio.create_task(manager.run(local_id, leave))
        with pytest.raises(asyncio.CancelledError):
            await run

    phone.do(give_up)
    assert phone.arrived(phone.upload(path)) == CONTENT


def test_storage_never_sees_the_token_and_the_server_is_told_the_digest(field: Field) -> None:
    seen: list[httpx.Request] = []

    async def look(request: httpx.Request) -> None:
        seen.append(request)

    phone = field.phone(trouble=look, api_trouble=look)
    phone.upload(phone.write(CONTENT))

    puts = [request for request in seen if request.method == "PUT"]
    assert puts
    assert not any("authorization" in request.headers for request in puts)
    created = json.loads(seen[0].content)
    assert created["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert seen[0].headers["Idempotency-Key"]


SENDING = """
import asyncio, resource, sys
from pathlib import Path
from fieldgate_client.api import Api
from fieldgate_client.database import Database
from fieldgate_client.tokens import TokenStore
from fieldgate_client.uploads import UploadManager

async def main(server, disk, *paths):
    with Database(Path(disk)) as database:
        async with Api(server, TokenStore(database)) as api:
            uploads = UploadManager(api, database, parallel=lambda: 4)
            for path in paths:
                await uploads.run(await uploads.add(Path(path), "farmers"))
                print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)

asyncio.run(main(*sys.argv[1:]))
"""


def test_memory_does_not_grow_with_the_file(field: Field) -> None:
    phone = field.phone()
    small = phone.write(some_bytes(CHUNK), "small.txt")
    large = phone.write(some_bytes(50 * 1024 * 1024), "large.txt")
    command = [sys.executable, "-c", SENDING, phone.server.url, str(phone.disk)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "clients/python/src")}
    done = subprocess.run(
        [*command, str(small), str(large)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )

    before, after = (int(line) for line in done.stdout.split())
    # Four chunks of 512 KiB under way, and the interpreter's own slack.
    assert (after - before) / 1024 < 16, "MiB"
