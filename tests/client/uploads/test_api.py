"""Signing in and asking: against the real functions, and against answers nobody should believe."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from fieldgate.db.engine import Database as ServerDatabase
from fieldgate_client.api import Api
from fieldgate_client.database import Database
from fieldgate_client.errors import ApiError, NetworkError, SignedOut, is_passing
from fieldgate_client.tokens import Tokens, TokenStore
from identity.passwords import hash_password
from tests.client.uploads.desk import SERVER, TOKENS, desk, envelope, refusal, renewed
from tests.support.api_server import ApiServer
from tests.support.people import Person, register

PASSWORD = "maize & beans"


def test_signing_in_by_password_and_out_again(
    server: ApiServer, live_database: ServerDatabase, tmp_path: Path
) -> None:
    person = Person(PASSWORD, hash_password(PASSWORD))
    server.run(lambda: register(live_database, person))

    async def sign_in_and_out() -> None:
        with Database(tmp_path / "client.db") as database:
            async with Api(server.url, TokenStore(database)) as api:
                with pytest.raises(SignedOut):
                    await api.request("GET", "/auth/me")
                with pytest.raises(ApiError) as wrong:
                    await api.login(str(person.phone), "wrong")
                assert (wrong.value.status, wrong.value.code) == (401, "INVALID_CREDENTIALS")
                assert await api.login(str(person.phone), PASSWORD) is None
                assert api.user_id == str(person.id)
                me = await api.request("GET", "/auth/me")
                assert me.data["id"] == str(person.id)
                assert me.timestamp is not None
                kept = TokenStore(database).load(server.url)
                await api.logout()
                with pytest.raises(SignedOut):
                    await api.request("GET", "/auth/me")
                assert kept is not None
                TokenStore(database).save(server.url, kept)
                with pytest.raises(SignedOut, match="ended"):
                    await api.request("GET", "/auth/me")

    asyncio.run(sign_in_and_out())


def test_a_second_factor_and_a_code_by_text_lead_to_a_challenge(tmp_path: Path) -> None:
    challenge = {"challengeId": "c1"}

    def answering(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/login"):
            return envelope(challenge | {"twoFactorRequired": True})
        return renewed(1) if request.url.path.endswith("/verify") else envelope(challenge, 202)

    async def sign_in() -> None:
        async with desk(tmp_path, answering) as opened:
            found = await opened.api.login("+254711000009", PASSWORD)
            assert found is not None
            assert found.id == "c1"
            assert (await opened.api.send_code("+254711000009")).id == "c1"
            await opened.api.verify_code("c1", "123456")
            assert opened.tokens.load(SERVER) == Tokens("a-user", "access-1", "refresh-1", 3600)
            bodies = [json.loads(request.content) for request in opened.asked]
            assert [body.get("profile") for body in bodies] == ["mobile", None, "mobile"]
            assert not any("Authorization" in request.headers for request in opened.asked)

    asyncio.run(sign_in())


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>Welcome to the hotel</html>"),
        httpx.Response(200, json={"welcome": True}),
        httpx.Response(200, json=[1]),
        httpx.Response(302, headers={"Location": "http://portal.example/"}),
        httpx.Response(403, text="<html>Pay first</html>"),
    ],
)
def test_a_captive_portal_is_not_the_server(tmp_path: Path, answer: httpx.Response) -> None:
    async def ask() -> None:
        async with desk(tmp_path, lambda _: answer) as opened:
            with pytest.raises(NetworkError):
                await opened.api.request("POST", "/x")
            assert opened.tokens.load(SERVER) == TOKENS

    asyncio.run(ask())


@pytest.mark.parametrize(
    ("answer", "pause"),
    [
        (refusal(429, "RATE_LIMITED", **{"Retry-After": "9"}), 9),
        (httpx.Response(429, json={"message": "Too Many Requests"}), 0),
        (httpx.Response(502, text="<html>"), 0),
        (refusal(409, "CONFLICT", **{"Retry-After": "5"}), 5),
        (
            refusal(
                503,
                "UNAVAILABLE",
                **{
                    "Retry-After": "Sat, 10 Jan 2026 10:00:20 GMT",
                    "Date": "Sat, 10 Jan 2026 10:00:00 GMT",
                },
            ),
            20,
        ),
        (refusal(503, "UNAVAILABLE", **{"Retry-After": "tomorrow"}), 0),
    ],
)
def test_what_passes_is_waited_for_and_asked_again(
    tmp_path: Path, answer: httpx.Response, pause: float
) -> None:
    async def ask(method: str, **how: Any) -> list[float]:
        answers = iter([answer, envelope("good")])
        async with desk(tmp_path, lambda _: next(answers)) as opened:
            assert (await opened.api.request(method, "/x", **how)).data == "good"
            return opened.pauses

    for waited in (
        asyncio.run(ask("GET")),
        asyncio.run(ask("POST", idempotency_key="k")),
        asyncio.run(ask("POST", repeatable=True)),
    ):
        assert pause <= waited[0] <= max(pause, 1)


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("POST", refusal(503, "UNAVAILABLE")),  # nobody knows whether it was done
        ("GET", refusal(404, "NOT_FOUND")),
        ("GET", refusal(409, "CONFLICT")),
        ("GET", refusal(429, "RATE_LIMITED", **{"Retry-After": "61"})),
    ],
)
def test_what_does_not_pass_or_may_not_be_repeated_is_asked_once(
    tmp_path: Path, method: str, answer: httpx.Response
) -> None:
    async def ask() -> None:
        async with desk(tmp_path, lambda _: answer) as opened:
            with pytest.raises(ApiError) as refused:
                await opened.api.request(method, "/x")
            assert refused.value.status == answer.status_code
            assert len(opened.asked) == 1

    asyncio.run(ask())


def test_tries_end_with_the_last_error(tmp_path: Path) -> None:
    def no_route(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route to host")

    async def ask() -> None:
        async with desk(tmp_path, no_route) as opened:
            with pytest.raises(NetworkError, match="no connection"):
                await opened.api.request("GET", "/x")
            assert len(opened.asked) == 4
            assert all(pause <= most for pause, most in zip(opened.pauses, [1, 2, 4], strict=True))

    asyncio.run(ask())


def test_an_answer_that_drips_is_given_up(tmp_path: Path) -> None:
    async def never(_: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async def ask() -> None:
        with Database(tmp_path / "client.db") as database:
            tokens = TokenStore(database)
            tokens.save(SERVER, TOKENS)
            async with Api(
                SERVER, tokens, transport=httpx.MockTransport(never), timeout=0.05
            ) as api:
                with pytest.raises(NetworkError, match="no answer in time"):
                    await api.request("POST", "/x")

    asyncio.run(ask())


def test_logging_out_without_a_network_forgets_the_session_all_the_same(tmp_path: Path) -> None:
    def no_route(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route to host")

    async def leave() -> None:
        async with desk(tmp_path, no_route) as opened:
            await opened.api.logout()
            assert opened.tokens.load(SERVER) is None

    asyncio.run(leave())


def test_no_body_is_an_answer_as_well(tmp_path: Path) -> None:
    async def ask() -> None:
        async with desk(tmp_path, lambda _: httpx.Response(204)) as opened:
            answer = await opened.api.request("DELETE", "/x")
            assert (answer.data, answer.timestamp) == (None, None)
            with pytest.raises(NetworkError):
                answer.fields.text("id")

    asyncio.run(ask())


def test_times_are_the_servers(tmp_path: Path) -> None:
    async def ask() -> None:
        async with desk(tmp_path, lambda _: envelope(1)) as opened:
            answer = await opened.api.request("GET", "/x?page=2")
            assert answer.timestamp == datetime(2026, 1, 10, 10, tzinfo=UTC)
            assert str(opened.asked[0].url) == f"{SERVER}/api/v1/x?page=2"

    asyncio.run(ask())


def test_tokens_go_to_their_own_server_only(tmp_path: Path) -> None:
    async def ask() -> None:
        async with desk(tmp_path, lambda _: envelope(1)) as opened:
            transport = httpx.MockTransport(lambda _: envelope(1))
            async with Api("http://127.0.0.1:2", opened.tokens, transport=transport) as other:
                with pytest.raises(SignedOut):
                    await other.request("GET", "/x")

    asyncio.run(ask())


def test_only_what_may_work_later_is_passing() -> None:
    assert is_passing(NetworkError())
    assert is_passing(ApiError(409, "CONFLICT", "", retry_after=1))
    assert not is_passing(ApiError(409, "CONFLICT", ""))
    assert not is_passing(SignedOut())
