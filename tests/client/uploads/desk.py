"""An `Api` whose server answers as a test says."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from fieldgate_client.api import Api
from fieldgate_client.database import Database
from fieldgate_client.tokens import Tokens, TokenStore

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
