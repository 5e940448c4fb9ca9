"""A loopback @connections: API Gateway's management side of a WebSocket API, as far as we use it.

    with run_connections_api() as api:
        api.connect("abc=")
        environment.setenv("REALTIME_ENDPOINT", api.endpoint)
        ...
    assert api.frames["abc="] == [b"..."]

It verifies each signature by botocore, answers 410 for who isn't there, and fails as it is told.
"""

import asyncio
import json
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal
from urllib.parse import unquote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

STAGE = "/live"
ACCESS_KEY, SECRET_KEY, TOKEN = "ASIACONNECTIONS", "a-secret/of+tests", "session+token/=="
REGION = "eu-west-1"
PATIENCE = timedelta(minutes=5)

type Method = Literal["POST", "DELETE"]
type Fault = int | Literal["hang", "cut", "lost"]
"""A status; no answer; the connection cut before the frame is taken, or (`lost`) after."""

REASONS = {
    200: "OK",
    204: "No Content",
    400: "Bad Request",
    403: "Forbidden",
    410: "Gone",
    413: "Payload Too Large",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


@dataclass
class LoopbackApi:
    """`frames` are those that each connection got, in order; `asked` all requests, in order.

    `choose_fault` is asked at each request of a connection that is there; `choose_latency` how
    many seconds an answer takes. `on_taken` hears of each frame once it is delivered; both run in
    the server's thread.
    """

    port: int = 0
    anybody: bool = False  # whoever is named is there
    verify_every: int = 1
    connected: set[str] = field(default_factory=set)
    frames: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    deleted: list[str] = field(default_factory=list)
    asked: list[tuple[Method, str]] = field(default_factory=list)
    answers: Counter[int] = field(default_factory=Counter)
    refusals: list[str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)  # of answers that are faults
    choose_fault: Callable[[Method, str], Fault | None] = lambda _method, _id: None
    choose_latency: Callable[[], float] = lambda: 0
    on_taken: Callable[[str, bytes], object] = lambda _id, _frame: None
    loop: asyncio.AbstractEventLoop | None = None
    transports: set[asyncio.Transport] = field(default_factory=set)
    most_at_once: int = 0
    accepted: int = 0
    _at_once: int = 0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}{STAGE}"

    def connect(self, *connection_ids: str) -> None:
        self.connected.update(connection_ids)

    def disconnect(self, connection_id: str) -> None:
        """Let a connection be gone, as when the phone lost its network."""
        self.connected.discard(connection_id)

    def hang_up(self) -> None:
        """Close what clients keep open, as a server does after a while; returns once it is done."""
        assert self.loop is not None
        asyncio.run_coroutine_threadsafe(self._hang_up(), self.loop).result(10)

    async def _hang_up(self) -> None:
        for transport in self.transports:
            transport.close()
        # That is done in the loop's next turn.
        for _ in range(2):
            await asyncio.sleep(0)
        assert not self.transports

    def forget(self) -> None:
        """Forget what was asked and delivered till now."""
        for kept in (self.frames, self.deleted, self.asked, self.answers, self.refusals):
            kept.clear()

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Fault:
        """Do what a request asks for; return the status, or how it is left without one."""
        refusal = None
        if self.answers.total() % self.verify_every == 0:
            refusal = _refusal(method, path, headers, body)
        prefix, _, encoded = path.rpartition("/")
        if refusal is None and prefix != f"{STAGE}/@connections":
            refusal = f"no such path: {path}"
        if refusal is not None:
            self.refusals.append(refusal)
            return 403
        connection_id = unquote(encoded)
        asked: Method = "DELETE" if method == "DELETE" else "POST"
        self.asked.append((asked, connection_id))
        if not (self.anybody or connection_id in self.connected):
            return 410
        fault = self.choose_fault(asked, connection_id)
        if fault is not None and fault != "lost":
            if fault == 410:
                self.connected.discard(connection_id)
            return fault
        if asked == "POST":
            self.frames[connection_id].append(body)
            self.on_taken(connection_id, body)
            return fault or 200
        self.connected.discard(connection_id)
        self.deleted.append(connection_id)
        return fault or 204

    def begin(self) -> None:
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)

    def end(self) -> None:
        self._at_once -= 1


class _Connection(asyncio.Protocol):
    """HTTP/1.1, one request after the other: aiohttp's server would be slower than its client."""

    def __init__(self, api: LoopbackApi, loop: asyncio.AbstractEventLoop) -> None:
        self._api, self._loop = api, loop
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._api.accepted += 1
        self._api.transports.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._api.transports.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, rest = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        length = int(headers.get("content-length", 0))
        if len(rest) < length:
            return
        self._received = rest[length:]
        method, path, _ = first.split(" ")
        api = self._api
        api.begin()
        result = api.answer(method, path, headers, rest[:length])
        if latency := api.choose_latency():
            self._loop.call_later(latency, self._finish, result)
        else:
            self._finish(result)

    def _finish(self, result: Fault) -> None:
        api = self._api
        api.end()
        if result == "hang":
            return
        if not isinstance(result, int):
            self._transport.abort()
            return
        api.answers[result] += 1
        body = b"" if result < 300 else json.dumps({"message": REASONS[result]}).encode()
        head = [f"HTTP/1.1 {result} {REASONS[result]}"]
        if result >= 300:
            head += [f"{name}: {value}" for name, value in api.headers.items()]
        if result != 204:
            head.append(f"Content-Length: {len(body)}")
        self._transport.write("\r\n".join([*head, "", ""]).encode() + body)


@contextmanager
def run_connections_api() -> Iterator[LoopbackApi]:
    """Serve until the block is left, in a thread."""
    api = LoopbackApi()
    loop = api.loop = asyncio.new_event_loop()
    server = loop.run_until_complete(listen(api))
    thread = threading.Thread(target=loop.run_forever, name="connections")
    thread.start()
    try:
        yield api
    finally:
        asyncio.run_coroutine_threadsafe(stop(server), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def listen(api: LoopbackApi) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(api, loop), "127.0.0.1", backlog=1000)
    api.port = server.sockets[0].getsockname()[1]
    return server


async def stop(server: asyncio.Server) -> None:
    server.close()
    server.abort_clients()
    await server.wait_closed()


def _refusal(method: str, path: str, headers: dict[str, str], body: bytes) -> str | None:
    """Say what is wrong with a request's signature, None when it is right."""
    algorithm, _, rest = headers.get("authorization", "").partition(" ")
    parts = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    if algorithm != "AWS4-HMAC-SHA256" or parts.keys() != {
        "Credential",
        "SignedHeaders",
        "Signature",
    }:
        return "not signed"
    timestamp = headers.get("x-amz-date", "")
    names = set(parts["SignedHeaders"].split(";"))
    if not {"host", "x-amz-date"} <= names or ("x-amz-security-token" in headers) != (
        "x-amz-security-token" in names
    ):
        return "what has to be signed is not"
    sent_at = datetime.strptime(timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    if abs(datetime.now(UTC) - sent_at) > PATIENCE:
        return "signed at another time"
    request = AWSRequest(method, f"http://{headers['host']}{path}", data=body)
    for name in names - {"host"}:
        request.headers[name] = headers[name]
    request.context["timestamp"] = timestamp
    token = headers.get("x-amz-security-token")
    signer = SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY, token), "execute-api", REGION)
    text = signer.string_to_sign(request, signer.canonical_request(request))
    if parts["Credential"] != signer.scope(request) or token not in {None, TOKEN}:
        return "signed by somebody else, or for something else"
    return None if parts["Signature"] == signer.signature(text, request) else "another signature"
