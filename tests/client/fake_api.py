"""A server that remembers what it did by key, and whose answers are lost or refused as told."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from fieldgate_client.tokens import Tokens

SERVER = "http://127.0.0.1:1"
TOKENS = Tokens("user-1", "access-1", "refresh-1", expires_in=3600)

type Fault = Callable[[httpx.Request, Callable[[], httpx.Response]], httpx.Response]


def lost(request: httpx.Request, work: Callable[[], httpx.Response]) -> httpx.Response:
    """The work is done, and its answer never comes."""
    work()
    raise httpx.ReadError("the connection was cut", request=request)


def unreachable(request: httpx.Request, work: Callable[[], httpx.Response]) -> httpx.Response:
    raise httpx.ConnectError("no route to host", request=request)


def says(status: int, code: str, **headers: str) -> Fault:
    """The work is not done; the server says so."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda request, work: refusal(status, code, named)


@dataclass
class FakeApi(httpx.AsyncBaseTransport):
    """Does every POST once for each key, under any path; `faults` are taken one by one."""

    faults: list[Fault] = field(default_factory=list)
    done: list[tuple[str, Any]] = field(default_factory=list)
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    token: str = "access-1"
    refreshes: int = 0
    session_ended: bool = False
    _answers: dict[str, httpx.Response] = field(default_factory=dict)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)  # others get their turn, as over a network
        path = request.url.path.removeprefix("/api/v1")
        if path == "/auth/refresh":
            return self._refresh()
        key = request.headers.get("Idempotency-Key")
        self.asked.append((request.method, path, key))
        if request.headers["Authorization"] != f"Bearer {self.token}":
            return refusal(401, "TOKEN_EXPIRED")
        fault = self.faults.pop(0) if self.faults else None
        if fault is None:
            return self._work(request, path, key)
        return fault(request, lambda: self._work(request, path, key))

    def _work(self, request: httpx.Request, path: str, key: str | None) -> httpx.Response:
        if key is not None and key in self._answers:
            return self._answers[key]
        body = json.loads(request.content) if request.content else None
        self.done.append((f"{request.method} {path}", body))
        answer = success({"number": len(self.done)})
        if key is not None:
            self._answers[key] = answer
        return answer

    def _refresh(self) -> httpx.Response:
        if self.session_ended:
            return refusal(401, "INVALID_CREDENTIALS")
        self.refreshes += 1
        return success(
            {
                "user": {"id": TOKENS.user_id},
                "accessToken": self.token,
                "refreshToken": f"refresh-{self.refreshes + 1}",
                "expiresIn": 3600,
            }
        )


def success(data: Any, status: int = 200) -> httpx.Response:
    meta = {"timestamp": "2026-01-10T10:00:00.000Z", "version": "1.0", "requestId": "r"}
    return httpx.Response(status, json={"success": True, "data": data, "meta": meta})


def refusal(status: int, code: str, headers: dict[str, str] | None = None) -> httpx.Response:
    error = {"code": code, "message": f"The server says {status}.", "details": []}
    return httpx.Response(status, json={"success": False, "error": error}, headers=headers)
