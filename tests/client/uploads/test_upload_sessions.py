"""Uploads during which a token or a session ends, and those of other users and devices."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from fieldgate_client.database import Database
from fieldgate_client.errors import (
    NetworkError,
    OtherAccount,
    SignedOut,
    UploadCancelled,
)
from fieldgate_client.tokens import TokenStore
from tests.client.uploads.interrupting import CONTENT, pending_of, when
from tests.support.forged_tokens import forger
from tests.support.phone import Field


def test_a_token_that_ends_in_the_middle_is_renewed(
    field: Field, signing_keys: tuple[str, str]
) -> None:
    phone = field.phone()
    path = phone.write(CONTENT)
    now = datetime.now(UTC)
    expired = forger(signing_keys[0], now - timedelta(hours=2))()

    def end_token() -> None:
        with Database(phone.disk) as database:
            tokens = replace(phone.tokens, access_token=expired)
            TokenStore(database).save(phone.server.url, tokens)

    phone.trouble = when(2, end_token)
    finished = phone.upload(path)

    assert phone.arrived(finished) == CONTENT
    refreshes = [path for _, path in phone.server.requests if path.endswith("/refresh")]
    assert len(refreshes) == 1
    assert phone.sent.total() == len(CONTENT)


def test_signed_out_in_the_middle_it_goes_on_when_the_user_is_back(field: Field) -> None:
    phone = field.phone()
    path = phone.write(CONTENT)

    def sign_out() -> None:
        with Database(phone.disk) as database:
            TokenStore(database).forget(phone.server.url, phone.tokens.refresh_token)

    phone.trouble = when(2, sign_out)
    with pytest.raises(SignedOut):
        phone.upload(path)
    with pytest.raises(SignedOut):
        phone.do(pending_of)

    with Database(phone.disk) as database:
        TokenStore(database).save(phone.server.url, phone.tokens)
    assert phone.arrived(phone.upload(path)) == CONTENT
    assert phone.sent.total() == len(CONTENT)


def test_nobody_sends_what_another_user_of_the_phone_has_added(field: Field) -> None:
    phone = field.phone(parallel=0)
    path = phone.write(CONTENT)
    with pytest.raises(NetworkError):
        phone.upload(path)
    with Database(phone.disk) as database:
        TokenStore(database).save(phone.server.url, field.tokens())

    local_id = phone.local_ids[path]
    with pytest.raises(OtherAccount):
        phone.upload(path)
    with pytest.raises(OtherAccount):
        phone.do(lambda manager: manager.cancel(local_id))
    assert phone.do(pending_of) == []


def test_another_device_of_the_user_may_give_the_upload_up(field: Field) -> None:
    phone = field.phone()
    path = phone.write(CONTENT)
    phone.trouble = when(
        4, lambda: asyncio.to_thread(lambda: phone.change_at_server(state="aborted"))
    )
    with pytest.raises(UploadCancelled):
        phone.upload(path)
    assert phone.do(pending_of) == []
