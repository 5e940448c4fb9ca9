"""Firebase Cloud Messaging at the wire: the stand-in of the local stack, in a thread.

with run_fcm() as fcm:
    os.environ |= fcm.settings
    ...
assert fcm.tokens() == ["the one that was sent to"]
"""

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from local.faults import Faults
from local.fcm import PROJECT_ID, Fcm, token_target
from tests.support.listening import listening


@dataclass
class RunningFcm:
    """The running stand-in.

    `answers` are given to messages whose address begins with such a word and a dash, instead of
    taking them; a web.Response is for one request, so they are made anew. `connections` are those
    that anything was answered on; `token_body` is said instead of an access token.
    """

    standin: Fcm = field(init=False)
    faults: Faults = field(default_factory=Faults)
    url: str = ""
    answers: dict[str, Callable[[], web.Response]] = field(default_factory=dict)
    connections: set[Any] = field(default_factory=set)
    token_body: bytes | None = None

    @property
    def settings(self) -> dict[str, str]:
        """The environment that has pushes sent to it."""
        return {
            "FIREBASE_ENABLED": "true",
            "FIREBASE_PROJECT_ID": PROJECT_ID,
            "FIREBASE_CREDENTIALS": self.standin.service_account(self.url),
            "FIREBASE_URL": self.url,
        }

    @property
    def requests(self) -> Counter[str]:
        """How often it was asked to take a message, by address."""
        return self.standin.requests

    def messages(self, token: str | None = None) -> list[dict[str, Any]]:
        """Return the messages that it took, newest first."""
        return [taken["message"] for taken in self.standin.inbox(token)]

    def tokens(self) -> list[str]:
        """Return whom it took messages for, newest first."""
        return [taken["token"] for taken in self.standin.inbox()]

    def break_token(self, token: str, mode: Any, seconds: float = 60, **about: Any) -> None:
        self.faults.set(token_target(token), mode, seconds, **about)

    async def note(self, request: web.Request, _response: web.StreamResponse) -> None:
        if request.transport is not None:
            self.connections.add(request.transport.get_extra_info("peername"))

    @property
    def instead_of_token(self) -> Middleware:
        @web.middleware
        async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path == "/token" and self.token_body is not None:
                return web.Response(body=self.token_body, content_type="application/json")
            return await handler(request)

        return answer

    def answer(self, address: str) -> web.Response | None:
        make = self.answers.get(address.partition("-")[0])
        return make() if make else None


@contextmanager
def run_fcm(latency_seconds: float = 0.0) -> Iterator[RunningFcm]:
    """Serve the stand-in until the block is left."""
    fcm = RunningFcm()
    fcm.standin = Fcm(
        fcm.faults,
        latency_seconds=latency_seconds,
        slow_seconds=0.2,
        choose_answer=fcm.answer,
    )
    started: Future[Callable[[], object]] = Future()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(fcm, started)), name="fcm")
    thread.start()
    try:
        stop = started.result(timeout=10)
        try:
            yield fcm
        finally:
            stop()
    finally:
        thread.join()


async def _serve(fcm: RunningFcm, started: "Future[Callable[[], object]]") -> None:
    stopped = asyncio.Event()
    app = fcm.standin.application()
    app.on_response_prepare.append(fcm.note)
    app.middlewares.append(fcm.instead_of_token)
    async with listening(app, backlog=1000) as fcm.url:
        loop = asyncio.get_running_loop()
        started.set_result(partial(loop.call_soon_threadsafe, stopped.set))
        await stopped.wait()


@contextmanager
def dripping_server() -> Iterator[str]:
    """Serve everybody one header that never ends, a byte at a time."""
    over = threading.Event()
    threads: list[threading.Thread] = []

    def drip(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Patience: ")
            while not over.wait(0.05):
                connection.sendall(b"z")

    def serve() -> None:
        while not over.is_set():
            with suppress(TimeoutError):
                connection, _ = listener.accept()
                threads.append(threading.Thread(target=drip, args=[connection]))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        server = threading.Thread(target=serve)
        server.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            over.set()
            for thread in [server, *threads]:
                thread.join()
