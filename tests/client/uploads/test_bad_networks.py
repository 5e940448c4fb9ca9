"""Storage and the API failing in every way they do; the clock jumps, nobody waits."""

import asyncio
import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from fieldgate_client.errors import NetworkError, UploadFailed
from fieldgate_client.progress import Progress
from fieldgate_client.uploads import PendingUpload, UploadManager
from local.faults import FaultMode
from tests.support.phone import Field, Phone, Trouble, retold
from tests.support.sender import CHUNK, some_bytes

ROOT = Path(__file__).parents[3]
CONTENT = some_bytes(3 * CHUNK + 1)


def on(request_numbers: set[int], trouble: Trouble) -> Trouble:
    """Let `trouble` befall these requests, counted from 1."""
    numbers = itertools.count(1)

    async def befall(request: httpx.Request) -> httpx.Response | None:
        return await trouble(request) if next(numbers) in request_numbers else None

    return befall


def answer(status: int, **headers: str) -> Trouble:
    async def trouble(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, headers=headers, text="<html>")

    return trouble


async def lose_the_answer(request: httpx.Request) -> httpx.Response:
    async with httpx.AsyncClient(verify=False) as client:
        content = await request.aread()
        await client.request(request.method, request.url, headers=request.headers, content=content)
    raise httpx.ReadError("the connection was cut", request=request)


async def no_route(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("no route to host", request=request)


def at(path_ends: str, trouble: Trouble) -> Trouble:
    """Let `trouble` befall the first request to such a path."""
    first = on({1}, trouble)

    async def befall(request: httpx.Request) -> httpx.Response | None:
        return await first(request) if request.url.path.endswith(path_ends) else None

    return befall


@pytest.mark.parametrize("mode", ["error", "down", "cut", "lost", "expired"])
@pytest.mark.parametrize("parallel", [1, 3])
def test_a_chunk_that_storage_fails_is_sent_again_and_only_that(
    field: Field, mode: FaultMode, parallel: int
) -> None:
    async def break_storage(_: httpx.Request) -> None:
        field.s3.faults.set("s3", mode, 60)

    async def mend(_: httpx.Request) -> None:
        field.s3.faults.set("s3", mode, 0)

    second, third = on({2}, break_storage), on({3}, mend)

    async def trouble(request: httpx.Request) -> None:
        await second(request)
        await third(request)

    # The server asks storage as well.
    phone = field.phone(trouble=trouble, api_trouble=mend, parallel=parallel)
    finished = phone.upload(phone.write(CONTENT))

    assert phone.arrived(finished) == CONTENT
    assert phone.sent.total() - len(CONTENT) <= parallel * CHUNK
    assert finished.progress.retries <= parallel


def test_answers_of_500_and_captive_portals_are_no_arrival(field: Field) -> None:
    troubles = itertools.chain([answer(500), answer(200), answer(302)], itertools.repeat(None))

    async def trouble(request: httpx.Request) -> httpx.Response | None:
        now = next(troubles)
        return await now(request) if now else None

    phone = field.phone(trouble=trouble)
    finished = phone.upload(phone.write(CONTENT))

    assert phone.arrived(finished) == CONTENT
    assert finished.progress.retries == 3
    # Full jitter: up to 1, 2 and 4 seconds.
    assert all(pause <= 2**n for n, pause in enumerate(phone.pauses[:3]))


def test_a_chunk_that_takes_too_long_is_cut_and_sent_again(field: Field) -> None:
    async def hang(_: httpx.Request) -> None:
        await asyncio.Event().wait()

    def hurry(created: dict[str, Any]) -> None:
        created["policy"]["partTimeoutSeconds"] = 1

    phone = field.phone(trouble=on({2}, hang), api_trouble=retold("/uploads", hurry))
    finished = phone.upload(phone.write(CONTENT))

    assert phone.arrived(finished) == CONTENT
    assert finished.progress.retries == 1


def test_lost_answers_of_the_api_do_nothing_twice(field: Field) -> None:
    phone = field.phone(api_trouble=on({1, 3, 5, 7, 9}, lose_the_answer))
    finished = phone.upload(phone.write(CONTENT))

    assert phone.arrived(finished) == CONTENT
    assert phone.sent.total() == len(CONTENT)
    assert len(phone.server_uploads()) == 1


def test_urls_that_storage_says_are_over_are_signed_again_for_all(field: Field) -> None:
    """The phone slept for an hour, and its monotonic clock with it."""

    async def sleep(_: httpx.Request) -> None:
        phone.s3.faults.set("s3", "expired", 60)

    async def wake(request: httpx.Request) -> None:
        phone.s3.faults.set("s3", "expired", 0)

    phone = field.phone(trouble=on({2}, sleep), api_trouble=wake)
    finished = phone.upload(phone.write(CONTENT))

    assert phone.arrived(finished) == CONTENT
    assert signings(phone) == 2
    # What storage says no to is not a failure, and nobody waits for it.
    assert finished.progress.retries == 0
    assert phone.sent.total() == len(CONTENT) + CHUNK


def test_urls_that_will_soon_be_over_are_signed_again_before(field: Field) -> None:
    async def wait_59_minutes(_: httpx.Request) -> None:
        phone.now += 59 * 60 + 1

    phone = field.phone(trouble=on({2}, wait_59_minutes))
    finished = phone.upload(phone.write(CONTENT))

    assert phone.arrived(finished) == CONTENT
    assert signings(phone) == 2
    assert phone.sent.total() == len(CONTENT)


def test_urls_are_signed_32_at_a_time(field: Field) -> None:
    phone = field.phone(parallel=4)
    phone.upload(phone.write(some_bytes(70 * CHUNK)))

    assert signings(phone) == 3


def signings(phone: Phone) -> int:
    return len([path for _, path in phone.server.requests if path.endswith("/urls")])


A_DAY = 24 * 60 * 60
SENDING = """
import asyncio, datetime, sys, time
ahead = float(sys.argv[1])
real_time = time.time
time.time = lambda: real_time() + ahead
class Wrong(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return super().now(tz) + datetime.timedelta(seconds=ahead)
    @classmethod
    def utcnow(cls):
        raise AssertionError
datetime.datetime = Wrong
from pathlib import Path
from fieldgate_client.api import Api
from fieldgate_client.database import Database
from fieldgate_client.tokens import TokenStore
from fieldgate_client.uploads import PendingUpload, UploadManager

async def main(server, disk, path):
    with Database(Path(disk)) as database:
        async with Api(server, TokenStore(database)) as api:
            uploads = UploadManager(api, database, parallel=lambda: 1, chunk_bytes=102400)
            finished = await uploads.run(await uploads.add(Path(path), "farmers"))
            print(finished.progress.sent)

asyncio.run(main(*sys.argv[2:]))
"""


@pytest.mark.parametrize("ahead", [A_DAY, -A_DAY])
def test_the_phones_clock_may_be_a_day_off(field: Field, ahead: int) -> None:
    phone = field.phone()
    path = phone.write(CONTENT)
    command = [sys.executable, "-c", SENDING, str(ahead), phone.server.url, str(phone.disk)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "clients/python/src")}
    done = subprocess.run(
        [*command, str(path)], env=environment, capture_output=True, text=True, check=True
    )

    assert done.stdout == f"{len(CONTENT)}\n"
    assert signings(phone) == 1
    assert [upload["state"] for upload in phone.server_uploads()] == ["completed"]


def test_ten_failures_in_a_row_are_reported_and_fail_the_upload_until_it_is_run_again(
    field: Field,
) -> None:
    phone = field.phone(trouble=answer(503))
    path = phone.write(CONTENT)
    with pytest.raises(UploadFailed) as failed:
        phone.upload(path)

    assert failed.value.reason == "TOO_MANY_FAILURES"
    assert failed.value.may_resume
    assert reports(phone) == 10
    [upload] = phone.server_uploads()
    assert (upload["state"], upload["consecutive_failures"]) == ("failed", 10)
    [pending] = phone.do(listed)
    assert (pending.state, pending.failure_reason) == ("failed", "TOO_MANY_FAILURES")

    phone.trouble = None
    before = len(phone.server.requests)
    finished = phone.upload(path)

    changes = [path for method, path in phone.server.requests[before:] if method == "POST"]
    assert changes[0].endswith("/resume")
    assert phone.arrived(finished) == CONTENT


def test_failures_that_are_not_in_a_row_are_forgiven(field: Field) -> None:
    """Nine failures, each of four tries, then a chunk that arrives; and that twice."""
    nine = 9 * 4
    bad = set(range(1, nine + 1)) | set(range(nine + 2, 2 * nine + 2))
    phone = field.phone(trouble=on(bad, answer(503)))
    finished = phone.upload(phone.write(CONTENT))

    assert phone.arrived(finished) == CONTENT
    assert reports(phone) == 18


def test_a_report_that_does_not_arrive_is_no_reason_to_go_on(field: Field) -> None:
    async def refuse_reports(request: httpx.Request) -> httpx.Response | None:
        return httpx.Response(500) if request.url.path.endswith("/failures") else None

    phone = field.phone(trouble=answer(503), api_trouble=refuse_reports)
    with pytest.raises(UploadFailed, match="TOO_MANY_FAILURES"):
        phone.upload(phone.write(CONTENT))
    assert [upload["state"] for upload in phone.server_uploads()] == ["uploading"]

    phone.trouble = phone.api_trouble = None
    assert phone.arrived(phone.upload(phone.folder / "notes.txt")) == CONTENT


def test_when_the_whole_network_is_gone_the_run_ends_and_the_upload_has_not_failed(
    field: Field,
) -> None:
    async def only_storage_is_asked(request: httpx.Request) -> httpx.Response | None:
        return await no_route(request) if request.url.path.endswith("/failures") else None

    phone = field.phone(trouble=no_route, api_trouble=only_storage_is_asked)
    path = phone.write(CONTENT)
    with pytest.raises(NetworkError):
        phone.upload(path)
    assert [pending.state for pending in phone.do(listed)] == ["sending"]

    phone.trouble = None
    assert phone.arrived(phone.upload(path)) == CONTENT


def test_without_a_network_nothing_is_tried(field: Field) -> None:
    phone = field.phone(parallel=0)
    path = phone.write(CONTENT)
    with pytest.raises(NetworkError, match="no network"):
        phone.upload(path)
    assert not phone.sent

    phone.parallel = 2
    assert phone.arrived(phone.upload(path)) == CONTENT


def test_the_server_may_ask_to_be_left_alone_for_a_while(field: Field) -> None:
    phone = field.phone(api_trouble=at("/complete", answer(429, **{"Retry-After": "7"})))
    finished = phone.upload(phone.write(CONTENT))

    assert phone.arrived(finished) == CONTENT
    assert max(phone.pauses) == 7


def test_assembly_is_waited_for_with_growing_pauses(field: Field) -> None:
    field.server.assembling = False
    phone = field.phone()
    pauses = phone.sleep

    async def sleep(seconds: float) -> None:
        await pauses(seconds)
        if len(phone.pauses) == 6:
            await asyncio.to_thread(field.server.assemble)

    phone.sleep = sleep  # type: ignore[method-assign]
    finished = phone.upload(phone.write(CONTENT))

    assert phone.arrived(finished) == CONTENT
    assert phone.pauses == [1, 2, 4, 8, 15, 15]


def test_assembly_that_never_ends_is_for_another_day(field: Field) -> None:
    field.server.assembling = False
    phone = field.phone()
    path = phone.write(CONTENT)
    with pytest.raises(UploadFailed, match="STILL_ASSEMBLING") as failed:
        phone.upload(path)
    assert failed.value.may_resume

    field.server.assembling = True
    assert phone.arrived(phone.upload(path)) == CONTENT


def test_progress_adds_up(field: Field) -> None:
    phone = field.phone(trouble=on({2, 5}, lose_the_answer), parallel=2)

    async def tick(request: httpx.Request) -> None:
        phone.now += 1

    phone.api_trouble = tick
    finished = phone.upload(phone.write(CONTENT))

    shown = [*phone.progress, finished.progress]
    for step in shown:
        assert step.acknowledged <= step.sent - step.resent_bytes <= step.size == len(CONTENT)
    assert shown == sorted(shown, key=progress_so_far)
    last = shown[-1]
    assert last.acknowledged == last.sent - last.resent_bytes == len(CONTENT)
    # The two were sent whole, each to a server that said nothing.
    assert 0 < last.resent_bytes <= 2 * CHUNK
    assert last.retries == 2


def progress_so_far(step: Progress) -> tuple[int, int]:
    return step.acknowledged, step.sent


async def listed(manager: UploadManager) -> list[PendingUpload]:
    return manager.pending()


def reports(phone: Phone) -> int:
    return len([path for _, path in phone.server.requests if path.endswith("/failures")])
