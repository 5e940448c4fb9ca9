"""What may have been done already is not done twice."""

from datetime import timedelta
from pathlib import Path

import pytest

from fieldgate_client.errors import NetworkError
from fieldgate_client.offline_queue import (
    MAY_BE_DONE,
    Drained,
)
from tests.client.fake_api import Fault, lost, says
from tests.client.offline_queue.phone import Phone, Tell


def test_the_key_is_made_when_it_is_added_and_an_upload_has_its_own(with_phone: Tell) -> None:
    async def story(phone: Phone) -> None:
        phone.queue.add_request("POST", "/first")
        phone.queue.add_request("POST", "/first")
        await phone.queue.add_upload(Path("leaf.pdf"), "farmers")
        keys = [entry.idempotency_key for entry in phone.queue.entries()]
        await phone.queue.drain()

        assert len(set(keys)) == 3
        assert keys[2] == "key of leaf.pdf"
        assert [key for _, _, key in phone.server.asked] == keys[:2]

    with_phone(story)


def test_an_answer_that_is_lost_again_and_again_is_asked_for_with_the_same_key(
    with_phone: Tell,
) -> None:
    async def story(phone: Phone) -> None:
        phone.queue.add_request("POST", "/lots", {"product": "maize"})
        phone.fails(lost, lost)
        for _ in range(2):
            stopped = await phone.queue.drain()
            assert isinstance(stopped.stopped_by, NetworkError)
        assert await phone.queue.drain() == Drained(sent=1)
        assert phone.server.done == [("POST /lots", {"product": "maize"})]
        assert len({key for _, _, key in phone.server.asked}) == 1

    with_phone(story)


def test_what_was_set_aside_is_tried_again_with_the_same_key(with_phone: Tell) -> None:
    async def story(phone: Phone) -> None:
        entry = phone.queue.add_request("POST", "/first")
        phone.server.faults = [says(422, "BUSINESS_RULE")]
        await phone.queue.drain()
        assert phone.queue.retry(entry)
        assert not phone.queue.retry(entry)
        assert await phone.queue.drain() == Drained(sent=1)
        assert len({key for _, _, key in phone.server.asked}) == 1

    with_phone(story)


def test_a_delete_whose_answer_was_lost_is_done_when_the_thing_is_gone(with_phone: Tell) -> None:
    async def story(phone: Phone) -> None:
        phone.queue.add_request("DELETE", "/media/1")
        phone.server.faults = [lost, says(404, "NOT_FOUND")]
        assert await phone.queue.drain() == Drained(sent=1)
        assert phone.queue.entries() == []

    with_phone(story)


def test_what_may_have_been_done_a_day_ago_is_not_done_again_unasked(with_phone: Tell) -> None:
    async def story(phone: Phone) -> None:
        entry = phone.queue.add_request("POST", "/lots")
        phone.queue.add_request("POST", "/others")
        phone.fails(lost)
        await phone.queue.drain()
        phone.now += timedelta(hours=24)

        assert await phone.queue.drain() == Drained(sent=1, set_aside=1)
        assert phone.reasons == {"POST /lots": MAY_BE_DONE}
        assert [what for what, _ in phone.server.done] == ["POST /lots", "POST /others"]
        assert phone.queue.retry(entry)
        assert await phone.queue.drain() == Drained(sent=1)

    with_phone(story)


def test_a_key_is_as_old_as_its_first_try(with_phone: Tell) -> None:
    async def story(phone: Phone) -> None:
        phone.queue.add_request("POST", "/lots")
        phone.fails(lost, lost)
        await phone.queue.drain()
        phone.now += timedelta(hours=23)
        assert isinstance((await phone.queue.drain()).stopped_by, NetworkError)
        phone.now += timedelta(hours=1)
        assert await phone.queue.drain() == Drained(set_aside=1)

    with_phone(story)


def test_a_clock_that_was_set_back_does_not_vouch_for_a_key(with_phone: Tell) -> None:
    async def story(phone: Phone) -> None:
        phone.queue.add_request("POST", "/lots")
        phone.fails(lost)
        await phone.queue.drain()
        phone.now -= timedelta(days=1)
        assert await phone.queue.drain() == Drained(set_aside=1)

    with_phone(story)


@pytest.mark.parametrize(
    ("method", "fault"),
    [("PUT", lost), ("DELETE", lost), ("POST", says(429, "RATE_LIMITED", Retry_After="3600"))],
)
def test_what_does_no_harm_twice_or_was_surely_not_done_is_sent_however_late(
    with_phone: Tell, method: str, fault: Fault
) -> None:
    async def story(phone: Phone) -> None:
        phone.queue.add_request(method, "/lots")
        phone.fails(fault)
        assert (await phone.queue.drain()).stopped_by is not None
        phone.server.faults = []
        phone.now += timedelta(days=3)
        assert await phone.queue.drain() == Drained(sent=1)

    with_phone(story)
