"""The HTTP API on loopback: requests become events of API Gateway, which the functions answer.

    with run_api(sqs) as api:
        httpx.get(f"{api.url}/api/v1/auth/me", headers=...)

Routes, functions and which of them need a token are template.yaml's, the authorizer is the real
one. All functions run in one thread, as in one execution environment; a test that wants their
database meanwhile asks through `run`. What a request to `complete` queued is put together by the
assembler before the next request, unless `assembling` is False.
"""

import asyncio
import importlib
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial

from aiohttp import web

from fieldgate.http import app
from local import template as sam
from tests.support.gateway import Answer, Handler, LambdaContext, authorized, call
from tests.support.listening import listening
from tests.support.sqs import LocalSqs

# The gateway's own answer where there is no such route; the template's $default is not tried here.
NOT_FOUND = Answer(404, {"content-type": "application/json"}, b'{"message":"Not Found"}')


@dataclass(frozen=True)
class Route:
    """One of template.yaml's."""

    method: str
    path: str
    module: str
    public: bool

    @property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(self.path)))


@dataclass
class ApiServer:
    """The running server; `requests` are those that came, as method and path, in order."""

    sqs: LocalSqs
    url: str = ""
    assembling: bool = True
    requests: list[tuple[str, str]] = field(default_factory=list)
    _calls: int = 0  # of those that the queue got, how many were looked at
    _queued: bool = False
    _functions: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="functions")
    )

    def run[T](self, work: Callable[[], T]) -> T:
        """Run `work` where the functions run, between two requests."""
        return self._functions.submit(work).result()

    def assemble(self) -> None:
        """Have the assembler do what is queued for it."""
        self.run(self._assemble)

    def _assemble(self) -> None:
        from uploads import assemble_upload

        event = self.sqs.receive()
        self._queued = bool(event["Records"])
        # Photos to process have the same queue here, and no consumer.
        event["Records"] = [found for found in event["Records"] if found["body"][0] != "{"]
        if event["Records"]:
            self.sqs.settle(event, assemble_upload.handler(event, LambdaContext(120_000)))

    def _answer(
        self, method: str, path: str, query: str, headers: dict[str, str], body: bytes
    ) -> Answer:
        self.requests.append((method, path))
        route = next(
            (r for r in _routes() if r.method == method and r.pattern.fullmatch(path)), None
        )
        if route is None:
            return NOT_FOUND
        handler: Handler = importlib.import_module(route.module).handler
        answer = call(
            handler,
            method,
            path,
            query=query,
            headers=headers,
            body=body or None,
            authorizer=None if route.public else authorized(headers.get("authorization")),
            route=f"{method} {route.path}",
        )
        if self.assembling and self._may_be_queued():
            self._assemble()
        return answer

    def _may_be_queued(self) -> bool:
        """Say whether to look into the queue, which takes as long as many a request."""
        if any(name.startswith("SendMessage") for name, _ in self.sqs.calls[self._calls :]):
            self._queued = True
        self._calls = len(self.sqs.calls)
        return self._queued

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        path, _, query = request.raw_path.partition("?")
        answer = await asyncio.get_running_loop().run_in_executor(
            self._functions, self._answer, request.method, path, query, headers, body
        )
        kept = {n: v for n, v in answer.headers.items() if n != "content-length"}
        return web.Response(status=answer.status, headers=kept, body=answer.body)

    def close(self) -> None:
        self.run(_end_environment)
        self._functions.shutdown()


@contextmanager
def run_api(sqs: LocalSqs) -> Iterator[ApiServer]:
    """Serve until the block is left."""
    api = ApiServer(sqs)
    started: Future[Callable[[], object]] = Future()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(api, started)), name="api")
    thread.start()
    try:
        stop = started.result(timeout=10)
        try:
            yield api
        finally:
            stop()
    finally:
        thread.join()
        api.close()


async def _serve(api: ApiServer, started: "Future[Callable[[], object]]") -> None:
    stopped = asyncio.Event()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", api.handle)
    async with listening(application) as api.url:
        started.set_result(partial(asyncio.get_running_loop().call_soon_threadsafe, stopped.set))
        await stopped.wait()


@cache
def _routes() -> list[Route]:
    """Return those of the template, the exact ones first, as the gateway prefers them."""
    routes = [
        Route(
            event["Properties"]["Method"].upper(),
            event["Properties"]["Path"],
            properties["Handler"].removesuffix(".handler"),
            event["Properties"].get("Auth", {}).get("Authorizer") == "NONE",
        )
        for _, properties in sam.resources(sam.read_template(), sam.FUNCTION)
        for event in properties.get("Events", {}).values()
        if event["Type"] == "HttpApi" and "Path" in event.get("Properties", {})
    ]
    return sorted(routes, key=lambda route: route.path.count("{"))


def _end_environment() -> None:
    """Close what an environment keeps for good and the garbage collector would find here."""
    if loop := vars(app._of_this_thread).pop("loop", None):
        loop.close()
