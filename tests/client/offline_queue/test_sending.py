"""What was done without a network is sent in order, once, when the network is back."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from fieldgate_client.errors import (
    ApiError,
    NetworkError,
    UploadBusy,
)
from fieldgate_client.offline_queue import (
    Drained,
    Watcher,
)
from fieldgate_client.outbox import Entry
from tests.client.fake_api import Fault, says, unreachable
from tests.client.offline_queue.phone import HALF_WAY, Phone, Recorder, Tell


def test_requests_and_uploads_are_sent_in_the_order_they_were_added(with_phone: Tell) -> None:
    async def story(phone: Phone) -> None:
        watcher = Recorder()
        phone.queue.add_request("post", "/first", {"n": 1})
        await phone.queue.add_upload(Path("leaf.pdf"), "farmers")
        phone.queue.add_request("PUT", "/last")

        drained = await phone.queue.drain(watcher)

        assert drained == Drained(sent=3)
        assert watcher.sent == ["POST /first", "leaf.pdf", "PUT /last"]
        assert watcher.so_far == [("leaf.pdf", HALF_WAY)]
        assert phone.server.done == [("POST /first", {"n": 1}), ("PUT /last", None)]
        assert phone.queue.entries() == []

    with_phone(story)


@pytest.mark.parametrize(
    "fault",
    [
        unreachable,
        says(408, "TIMEOUT"),
        says(425, "TOO_EARLY"),
        says(429, "RATE_LIMITED", Retry_After="1"),
        says(500, "INTERNAL_ERROR"),
        says(503, "UNAVAILABLE"),
        says(409, "CONFLICT", Retry_After="1"),
    ],
)
def test_what_may_pass_stops_the_sending_and_keeps_the_order(
    with_phone: Tell, fault: Fault
) -> None:
    async def story(phone: Phone) -> None:
        phone.queue.add_request("POST", "/first")
        phone.queue.add_request("POST", "/second")
        phone.fails(fault)

        drained = await phone.queue.drain()

        assert isinstance(drained.stopped_by, NetworkError | ApiError)
        assert phone.waiting == ["POST /first", "POST /second"]
        assert phone.queue.entries()[0].attempts == 1
        assert phone.queue.entries()[0].reason == str(drained.stopped_by)
        assert await phone.queue.drain() == Drained(sent=2)
        assert [what for what, _ in phone.server.done] == ["POST /first", "POST /second"]

    with_phone(story)


@pytest.mark.parametrize("status", [400, 403, 404, 409, 410, 413, 415, 422])
def test_what_is_refused_for_good_is_set_aside_and_blocks_nothing(
    with_phone: Tell, status: int
) -> None:
    async def story(phone: Phone) -> None:
        watcher = Recorder()
        phone.queue.add_request("POST", "/first")
        phone.queue.add_request("POST", "/second")
        phone.server.faults = [says(status, "REFUSED")]

        assert await phone.queue.drain(watcher) == Drained(sent=1, set_aside=1)
        assert (watcher.set_aside, watcher.sent) == (["POST /first"], ["POST /second"])
        assert phone.reasons == {"POST /first": f"{status} REFUSED: The server says {status}."}
        assert await phone.queue.drain() == Drained()

    with_phone(story)


def test_what_depends_on_a_refused_one_waits_for_it(with_phone: Tell) -> None:
    async def story(phone: Phone) -> None:
        first = phone.queue.add_request("POST", "/first")
        second = phone.queue.add_request("POST", "/second", after=first)
        phone.queue.add_request("POST", "/third", after=second)
        phone.queue.add_request("POST", "/free")
        phone.server.faults = [says(400, "REFUSED")]

        assert await phone.queue.drain() == Drained(sent=1, set_aside=1)
        assert phone.server.done == [("POST /free", None)]
        assert phone.waiting == ["POST /second", "POST /third"]

        assert phone.queue.retry(first)
        assert await phone.queue.drain() == Drained(sent=3)
        done = [what for what, _ in phone.server.done[1:]]
        assert done == ["POST /first", "POST /second", "POST /third"]

    with_phone(story)


def test_dropping_one_drops_what_depends_on_it_and_nothing_else(with_phone: Tell) -> None:
    async def story(phone: Phone) -> None:
        first = phone.queue.add_request("POST", "/first")
        second = phone.queue.add_request("POST", "/second", after=first)
        phone.queue.add_request("POST", "/third", after=second)
        phone.queue.add_request("POST", "/free")

        assert await phone.queue.drop(first)
        assert not await phone.queue.drop(first)
        assert phone.waiting == ["POST /free"]

    with_phone(story)


@pytest.mark.parametrize(
    "error", [KeyError("backoff"), TypeError("no"), MemoryError(), RecursionError("deep")]
)
def test_what_fails_unexpectedly_is_set_aside_and_the_next_goes_on(
    with_phone: Tell, error: Exception
) -> None:
    async def story(phone: Phone) -> None:
        await phone.queue.add_upload(Path("leaf.pdf"), "farmers")
        phone.queue.add_request("POST", "/next")
        phone.uploads.ends["leaf.pdf"] = [error]
        assert await phone.queue.drain() == Drained(sent=1, set_aside=1)
        assert phone.reasons == {
            "leaf.pdf": f"Unexpected: {type(error).__name__}: {error}".removesuffix(": ")
        }

    with_phone(story)


@pytest.mark.parametrize("error", [OSError(28, "No space left"), sqlite3.OperationalError("full")])
def test_this_machines_own_trouble_is_no_entrys(with_phone: Tell, error: Exception) -> None:
    async def story(phone: Phone) -> None:
        await phone.queue.add_upload(Path("leaf.pdf"), "farmers")
        phone.uploads.ends["leaf.pdf"] = [error]
        with pytest.raises(type(error)):
            await phone.queue.drain()
        assert phone.waiting == ["leaf.pdf"]

    with_phone(story)


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt()])
def test_what_ends_the_program_is_not_held_up_by_the_queue(
    with_phone: Tell, error: BaseException
) -> None:
    async def story(phone: Phone) -> None:
        await phone.queue.add_upload(Path("leaf.pdf"), "farmers")
        phone.uploads.ends["leaf.pdf"] = [error]
        with pytest.raises(type(error)):
            await phone.queue.drain()
        assert phone.waiting == ["leaf.pdf"]

    with_phone(story)


def test_only_one_sends_at_a_time(with_phone: Tell) -> None:
    async def story(phone: Phone) -> None:
        for number in range(5):
            phone.queue.add_request("POST", f"/{number}")
        drains = await asyncio.gather(*(phone.queue.drain() for _ in range(4)))
        assert sorted(drained.sent for drained in drains) == [0, 0, 0, 5]
        assert sum(isinstance(drained.stopped_by, UploadBusy) for drained in drains) == 3
        assert len(phone.server.done) == 5

    with_phone(story)


def test_what_is_added_while_the_queue_is_sent_is_sent_too(with_phone: Tell) -> None:
    async def story(phone: Phone) -> None:
        phone.queue.add_request("POST", "/first")
        late = iter(["/second"])

        class Adds(Watcher):
            def ended(self, entry: Entry, reason: str | None) -> None:
                for path in late:
                    phone.queue.add_request("POST", path)

        assert await phone.queue.drain(Adds()) == Drained(sent=2)

    with_phone(story)


def test_what_json_cannot_hold_is_refused_when_it_is_added(with_phone: Tell) -> None:
    async def story(phone: Phone) -> None:
        with pytest.raises(ValueError, match="JSON"):
            phone.queue.add_request("POST", "/lots", {"quantity": float("nan")})
        assert phone.queue.entries() == []

    with_phone(story)
