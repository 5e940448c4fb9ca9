"""Signing in and asking: against the real functions, and against answers nobody should believe."""

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from fieldgate.db.engine import Database as ServerDatabase
from fieldgate_client import api
from fieldgate_client.api import Api
from fieldgate_client.database import Database
from fieldgate_client.errors import ApiError, NetworkError, SignedOut, is_passing
from fieldgate_client.tokens import Tokens, TokenStore
from identity.passwords import hash_password
from tests.support.api_server import ApiServer
from tests.support.people import Person, register

PASSWORD = "maize & beans"
TOKENS = Tokens("a-user", "an-access-token", "a-refresh-token", 3600)
SERVER = "http://127.0.0.1:1"

type Answering = Callable[[httpx.Request], httpx.Response]


def envelope(data: Any, status: int = 200) -> httpx.Response:
    meta = {"timestamp": "2026-01-10T10:00:00.000Z", "version": "1.0", "requestId": "1"}
    return httpx.Response(status, json={"success": True, "data": data, "meta": meta})


def refusal(status: int, code: str, **headers: str) -> httpx.Response:
    content = {"success": False, "error": {"code": code, "message": "No.", "details": []}}
    return httpx.Response(status, json=content, headers=headers)


def renewed(number: int) -> httpx.Response:
    tokens = {"accessToken": f"access-{number}", "refreshToken": f"refresh-{number}"}
    return envelope(tokens | {"expiresIn": 3600, "user": {"id": "a-user"}})


class Desk:
    """An `Api` whose server is `answering`; `asked` is what came there."""

    def __init__(self, folder: Path, answering: Answering, signed_in: Tokens | None) -> None:
        self.asked: list[httpx.Request] = []
        self.pauses: list[float] = []
        self.now = 0.0
        self.renewal_came = asyncio.Event()
        self.may_answer_renewal = asyncio.Event()
        self.may_answer_renewal.set()
        self.database = Database(folder / "client.db")
        self.tokens = TokenStore(self.database)
        if signed_in is not None:
            self.tokens.save(SERVER, signed_in)

        async def answer(request: httpx.Request) -> httpx.Response:
            self.asked.append(request)
            await asyncio.sleep(0)
            if request.url.path.endswith("/refresh"):
                self.renewal_came.set()
                await self.may_answer_renewal.wait()
            return answering(request)

        self.api = Api(
            f"{SERVER}/",
            self.tokens,
            transport=httpx.MockTransport(answer),
            clock=lambda: self.now,
            sleep=self.sleep,
        )

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def paths(self) -> list[str]:
        return [request.url.path.removeprefix("/api/v1") for request in self.asked]

    async def give_up_in_the_middle_of_a_renewal(self) -> None:
        self.may_answer_renewal.clear()
        asking = asyncio.create_task(self.api.request("POST", "/x"))
        await self.renewal_came.wait()
        asking.cancel()
        await asyncio.wait((asking,))
        assert asking.cancelled()


@asynccontextmanager
async def desk(
    folder: Path, answering: Answering, signed_in: Tokens | None = TOKENS
) -> AsyncIterator[Desk]:
    opened = Desk(folder, answering, signed_in)
    with opened.database:
        async with opened.api:
            yield opened


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
