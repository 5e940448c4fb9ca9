"""Whose requests are sent, and with which token."""

from datetime import timedelta

import pytest

from fieldgate_client.errors import SignedOut
from fieldgate_client.offline_queue import Drained
from fieldgate_client.tokens import Tokens
from tests.client.fake_api import SERVER, TOKENS, says
from tests.client.offline_queue.phone import Phone, Tell


def test_a_token_that_has_expired_is_renewed_on_the_way(with_phone: Tell) -> None:
    async def story(phone: Phone) -> None:
        phone.queue.add_request("POST", "/first")
        phone.queue.add_request("POST", "/second")
        phone.server.token = "access-2"
        assert await phone.queue.drain() == Drained(sent=2)
        assert phone.server.refreshes == 1

    with_phone(story)


def test_a_session_that_has_ended_stops_the_sending_until_somebody_signs_in(
    with_phone: Tell,
) -> None:
    async def story(phone: Phone) -> None:
        phone.queue.add_request("POST", "/first")
        phone.server.token = "access-9"
        phone.server.session_ended = True
        assert isinstance((await phone.queue.drain()).stopped_by, SignedOut)

        phone.tokens.save(SERVER, Tokens(TOKENS.user_id, "access-9", "refresh-9", 3600))
        phone.now += timedelta(days=3)
        assert await phone.queue.drain() == Drained(sent=1)

    with_phone(story)


def test_nobody_sends_what_another_user_of_the_phone_has_left(with_phone: Tell) -> None:
    async def story(phone: Phone) -> None:
        theirs = phone.queue.add_request("POST", "/first")
        phone.server.faults = [says(422, "BUSINESS_RULE")]
        await phone.queue.drain()
        phone.queue.add_request("POST", "/second")
        phone.tokens.save(SERVER, Tokens("user-2", "access-1", "refresh-2", 3600))
        assert await phone.queue.drain() == Drained()
        assert phone.queue.entries() == []
        assert not phone.queue.retry(theirs)
        assert not await phone.queue.drop(theirs)

        phone.tokens.save(SERVER, TOKENS)
        assert await phone.queue.drain() == Drained(sent=1)

    with_phone(story)


def test_without_a_session_nothing_can_be_kept(with_phone: Tell) -> None:
    async def story(phone: Phone) -> None:
        phone.tokens.forget(SERVER, TOKENS.refresh_token)
        with pytest.raises(SignedOut):
            phone.queue.add_request("POST", "/lots")

    with_phone(story)
