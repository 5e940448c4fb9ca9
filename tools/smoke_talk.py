"""How the smoke test speaks to an environment, over HTTP and the WebSocket."""

import asyncio
import json
import ssl
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import httpx

from tools.smoke_report import CheckFailed, expect
from tools.smoke_settings import Settings

REQUEST_SECONDS = 30.0  # the gateway's own limit
CONNECT_SECONDS = 10.0
# Ends each record of SignalR's JSON protocol.
RECORD_END = "\x1e"


@dataclass
class Talk:
    """A client of one environment; `token` is sent with each request once there is one."""

    settings: Settings
    http: httpx.AsyncClient
    sockets: aiohttp.ClientSession
    tls: ssl.SSLContext
    token: str = field(default="", repr=False)

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, **rest: Any
    ) -> httpx.Response:
        bearer = {"authorization": f"Bearer {self.token}"} if self.token else {}
        given = bearer | dict(headers or {})
        return await self.http.request(method, path, headers=given, **rest)

    async def data(self, method: str, path: str, status: int, **rest: Any) -> dict[str, Any]:
        """Ask, and return what the envelope holds.

        Raises:
            CheckFailed: another status, or no envelope.

        """
        answer = await self.ask(method, path, **rest)
        expect(answer.status_code == status, f"expected {status}, got {said(answer)}")
        data = body_of(answer).get("data")
        if not isinstance(data, dict):
            raise CheckFailed(f"no envelope with data: {said(answer)}")
        return data

    async def refusal(
        self, method: str, path: str, status: int, code: str, **rest: Any
    ) -> httpx.Response:
        """Ask for what is refused in the contract's envelope, with the request id that we sent.

        Raises:
            CheckFailed: it is answered otherwise.

        """
        request_id = f"smoke-{uuid.uuid4()}"
        answer = await self.ask(method, path, {"x-request-id": request_id}, **rest)
        expect(answer.status_code == status, f"expected {status}, got {said(answer)}")
        body = body_of(answer)
        error, meta = body.get("error") or {}, body.get("meta") or {}
        expect(body.get("success") is False, f"no envelope of an error: {said(answer)}")
        expect(error.get("code") == code, f"expected code {code}, got {said(answer)}")
        expect(
            meta.get("requestId") == answer.headers.get("x-request-id") == request_id,
            "the request id that was sent is not in the header and in meta",
        )
        return answer

    @asynccontextmanager
    async def socket(self) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """Connect to the WebSocket API, with the token if there is one."""
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        async with asyncio.timeout(REQUEST_SECONDS):
            socket = await self.sockets.ws_connect(self.settings.realtime_url, headers=headers)
        async with socket:
            yield socket


@asynccontextmanager
async def talking_to(settings: Settings) -> AsyncIterator[Talk]:
    """Make the clients; to this machine they go past any proxy."""
    trust_env = not settings.is_local
    # One for all of them: certifi's authorities, or those that SSL_CERT_FILE names.
    tls = httpx.create_ssl_context()
    timeout = httpx.Timeout(REQUEST_SECONDS, connect=CONNECT_SECONDS)
    socket_timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
    async with (
        httpx.AsyncClient(
            base_url=settings.base_url,
            verify=tls,
            timeout=timeout,
            trust_env=trust_env,
            headers={"user-agent": "fieldgate-smoke"},
        ) as http,
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls), timeout=socket_timeout, trust_env=trust_env
        ) as sockets,
    ):
        yield Talk(settings, http, sockets, tls)


def body_of(answer: httpx.Response) -> dict[str, Any]:
    """Return an answer's JSON object.

    Raises:
        CheckFailed: it is none.

    """
    try:
        body = answer.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise CheckFailed(f"no JSON object: {said(answer)}")
    return body


def said(answer: httpx.Response) -> str:
    """Return an answer in short: status and the beginning of the body."""
    return f"{answer.status_code} {' '.join(answer.text.split())[:160]}".strip()


def records_of(frame: str) -> list[dict[str, Any]]:
    """Return the records of a SignalR frame."""
    return [json.loads(record) for record in frame.split(RECORD_END) if record]


def is_untrusted(error: BaseException) -> bool:
    """Say whether somewhere behind `error` a certificate was refused."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
