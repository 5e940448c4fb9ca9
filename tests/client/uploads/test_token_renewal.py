"""A token that has ended is renewed once, whoever waits, gives up or asks elsewhere."""

import asyncio
import gc
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from fieldgate_client import api
from fieldgate_client.database import Database
from fieldgate_client.errors import ApiError, NetworkError, SignedOut
from fieldgate_client.tokens import Tokens, TokenStore
from tests.client.uploads.desk import SERVER, TOKENS, desk, envelope, refusal, renewed


def test_many_requests_with_an_old_token_renew_it_once(tmp_path: Path) -> None:
    def answering(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/refresh"):
            return renewed(1)
        good = request.headers["Authorization"] == "Bearer access-1"
        return envelope("good") if good else refusal(401, "TOKEN_EXPIRED")

    async def ask() -> None:
        async with desk(tmp_path, answering) as opened:
            answers = await asyncio.gather(*(opened.api.request("GET", "/x") for _ in range(10)))
            assert [answer.data for answer in answers] == ["good"] * 10
            assert opened.paths().count("/auth/refresh") == 1
            # It is renewed before it ends, by our own monotonic clock.
            opened.now = 3600 - 61
            await opened.api.request("GET", "/x")
            assert opened.paths().count("/auth/refresh") == 1
            opened.now = 3600 - 59
            await opened.api.request("GET", "/x")
            assert opened.paths()[-2:] == ["/auth/refresh", "/x"]

    asyncio.run(ask())


def test_a_token_that_another_process_has_renewed_is_taken_over(tmp_path: Path) -> None:
    newer = Tokens("a-user", "access-9", "refresh-9", 3600)

    def answering(request: httpx.Request) -> httpx.Response:
        if request.headers.get("Authorization") == "Bearer access-9":
            return envelope("good")
        with Database(tmp_path / "client.db") as other:
            TokenStore(other).succeed(SERVER, "a-refresh-token", newer)
        return refusal(401, "TOKEN_EXPIRED")

    async def ask() -> None:
        async with desk(tmp_path, answering) as opened:
            assert (await opened.api.request("GET", "/x")).data == "good"
            assert opened.paths() == ["/x", "/x"]

    asyncio.run(ask())


def test_a_refresh_that_lost_against_another_process_takes_over_what_that_got(
    tmp_path: Path,
) -> None:
    newer = Tokens("a-user", "access-9", "refresh-9", 3600)

    def answering(request: httpx.Request) -> httpx.Response:
        if request.headers.get("Authorization") == "Bearer access-9":
            return envelope("good")
        if request.url.path.endswith("/refresh"):
            with Database(tmp_path / "client.db") as other:
                TokenStore(other).succeed(SERVER, "a-refresh-token", newer)
        return refusal(401, "TOKEN_EXPIRED")

    async def ask() -> None:
        async with desk(tmp_path, answering) as opened:
            assert (await opened.api.request("GET", "/x")).data == "good"

    asyncio.run(ask())


def test_a_refresh_is_tried_again_until_it_is_known_what_became_of_it(tmp_path: Path) -> None:
    lost = iter([True, True, False])

    def answering(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/refresh"):
            if next(lost):
                raise httpx.ReadError("cut")
            return renewed(1)
        good = request.headers["Authorization"] == "Bearer access-1"
        return envelope("good") if good else refusal(401, "TOKEN_EXPIRED")

    async def ask() -> None:
        async with desk(tmp_path, answering) as opened:
            assert (await opened.api.request("POST", "/x")).data == "good"
            # Within the 30 s that the server takes it for the same request.
            assert 3 * 8 + sum(opened.pauses) < 30

    asyncio.run(ask())


@pytest.mark.parametrize(("asked_for", "tries"), [("2", 3), ("3", 1), ("60", 1)])
def test_a_refresh_does_not_wait_longer_than_its_token_is_taken_again(
    tmp_path: Path, asked_for: str, tries: int
) -> None:
    def answering(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/refresh"):
            return refusal(503, "UNAVAILABLE", **{"Retry-After": asked_for})
        return refusal(401, "TOKEN_EXPIRED")

    async def ask() -> None:
        async with desk(tmp_path, answering) as opened:
            with pytest.raises(ApiError):
                await opened.api.request("POST", "/x")
            assert opened.paths().count("/auth/refresh") == tries
            assert tries * 8 + sum(opened.pauses) < 30
            assert opened.tokens.load(SERVER) == TOKENS

    asyncio.run(ask())


def renews(request: httpx.Request) -> httpx.Response:
    """Take the tokens of the first renewal, and of no other."""
    if request.url.path.endswith("/refresh"):
        taken = json.loads(request.content) == {"refreshToken": TOKENS.refresh_token}
        return renewed(1) if taken else refusal(401, "UNAUTHORIZED")
    good = request.headers["Authorization"] == "Bearer access-1"
    return envelope("good") if good else refusal(401, "TOKEN_EXPIRED")


def test_a_renewal_goes_on_when_whoever_wanted_it_gives_up(tmp_path: Path) -> None:
    async def ask() -> None:
        async with desk(tmp_path, renews) as opened:
            await opened.give_up_in_the_middle_of_a_renewal()
            joining = asyncio.create_task(opened.api.request("POST", "/x"))
            opened.may_answer_renewal.set()
            assert (await joining).data == "good"
            assert (await opened.api.request("POST", "/x")).data == "good"
            assert opened.paths().count("/auth/refresh") == 1

    asyncio.run(ask())


def test_closing_waits_for_a_renewal_so_that_its_tokens_are_kept(tmp_path: Path) -> None:
    async def ask() -> None:
        async with desk(tmp_path, renews) as opened:
            await opened.give_up_in_the_middle_of_a_renewal()
            opened.may_answer_renewal.set()
            assert opened.tokens.load(SERVER) == TOKENS
        assert asyncio.all_tasks() == {asyncio.current_task()}
        async with desk(tmp_path, renews, signed_in=None) as opened:
            assert (await opened.api.request("POST", "/x")).data == "good"
            assert opened.paths() == ["/x"]

    asyncio.run(ask())


def test_closing_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask() -> None:
        async with desk(tmp_path, renews) as opened:
            await opened.give_up_in_the_middle_of_a_renewal()
            monkeypatch.setattr(api, "REFRESH_TIMEOUT_SECONDS", 0.01)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(ask())


def test_a_renewal_that_fails_with_nobody_waiting_is_nobodys_error(tmp_path: Path) -> None:
    complaints: list[dict[str, Any]] = []

    async def ask() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, complaint: complaints.append(complaint))
        async with desk(tmp_path, lambda _: refusal(401, "UNAUTHORIZED")) as opened:
            await opened.give_up_in_the_middle_of_a_renewal()
            opened.may_answer_renewal.set()
        assert opened.paths() == ["/x", "/auth/refresh"]
        gc.collect()

    asyncio.run(ask())
    assert complaints == []


def test_all_who_wait_for_a_renewal_hear_how_it_failed(tmp_path: Path) -> None:
    def answering(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/refresh"):
            raise httpx.ConnectError("no way")
        return refusal(401, "TOKEN_EXPIRED")

    async def ask() -> None:
        async with desk(tmp_path, answering) as opened:
            asking = [opened.api.request("POST", "/x") for _ in range(10)]
            ends = await asyncio.gather(*asking, return_exceptions=True)
            assert {type(end) for end in ends} == {NetworkError}
            assert opened.paths().count("/auth/refresh") == 3

    asyncio.run(ask())


def test_a_session_that_was_ended_is_forgotten_and_one_that_cannot_be_renewed_now_is_not(
    tmp_path: Path,
) -> None:
    refresh = iter([refusal(503, "UNAVAILABLE")] * 3 + [refusal(401, "UNAUTHORIZED")])

    def answering(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/refresh"):
            return next(refresh)
        return refusal(401, "TOKEN_EXPIRED")

    async def ask() -> None:
        async with desk(tmp_path, answering) as opened:
            with pytest.raises(ApiError):
                await opened.api.request("POST", "/x")
            assert opened.tokens.load(SERVER) == TOKENS
            with pytest.raises(SignedOut):
                await opened.api.request("POST", "/x")
            assert opened.tokens.load(SERVER) is None

    asyncio.run(ask())


def test_a_server_that_refuses_its_own_new_token_does_not_go_on_for_ever(tmp_path: Path) -> None:
    def answering(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/refresh"):
            return renewed(1)
        return refusal(401, "UNAUTHORIZED")

    async def ask() -> None:
        async with desk(tmp_path, answering) as opened:
            with pytest.raises(SignedOut):
                await opened.api.request("GET", "/x")
            assert len(opened.asked) == 3

    asyncio.run(ask())
