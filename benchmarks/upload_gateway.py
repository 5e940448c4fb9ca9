"""The gateway before the upload service: routes of template.yaml, answered in this process."""

import asyncio
import importlib
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Literal

from aiohttp import web

from local import template as sam
from tests.support.gateway import Handler, LambdaContext, authorized, http_event
from tests.support.listening import listening

DOMAINS = ("identity.", "uploads.")
# What befalls a request to the API: it doesn't arrive, its answer doesn't, or storage is down.
type ApiFault = Literal["cut", "lost", "error"]
# (method, path as in template.yaml, public, handler)
type Route = tuple[str, str, bool, Handler]


@asynccontextmanager
async def serving_api(choose_fault: Callable[[], ApiFault | None]) -> AsyncIterator[str]:
    """Serve the upload functions and those that sign in; yields the address.

    What `choose_fault` returns befalls the next request.
    """
    with ThreadPoolExecutor(4, "function") as threads:
        app = web.Application()
        for route in _routes():
            answer = partial(_answer, choose_fault, threads, route)
            app.router.add_route(route[0], route[1], answer)
        async with listening(app, auto_decompress=False) as url:
            yield url


def _routes() -> Iterator[Route]:
    for _, function in sam.resources(sam.read_template(), sam.FUNCTION):
        handler = str(function["Handler"])
        if not handler.startswith(DOMAINS):
            continue
        for event in function.get("Events", {}).values():
            if event["Type"] == "HttpApi":
                found = event["Properties"]
                public = found.get("Auth", {}).get("Authorizer") == "NONE"
                module = importlib.import_module(handler.removesuffix(".handler"))
                yield found["Method"], found["Path"], public, module.handler


async def _answer(
    choose_fault: Callable[[], ApiFault | None],
    threads: ThreadPoolExecutor,
    route: Route,
    request: web.Request,
) -> web.Response:
    """Do as the gateway: have the function answer, in a thread as in an environment of its own."""
    method, path, public, handler = route
    fault = choose_fault()
    try:
        body = await request.read()
    except ConnectionResetError:  # the client was stopped
        return _hung_up(request)

    def invoke() -> dict[str, Any]:
        headers = dict(request.headers)
        authorizer = None if public else authorized(headers.get("Authorization"))
        event = http_event(
            method,
            request.path,
            query=request.query_string,
            headers=headers,
            body=body or None,
            authorizer=authorizer,
            route=f"{method} {path}",
        )
        return handler(event, LambdaContext())

    if fault == "cut":
        return _hung_up(request)
    if fault == "error":
        return web.json_response({"message": "Service Unavailable"}, status=503)
    result = await asyncio.get_running_loop().run_in_executor(threads, invoke)
    if fault == "lost":
        return _hung_up(request)
    return web.Response(
        status=result["statusCode"], headers=result["headers"], text=result.get("body") or None
    )


def _hung_up(request: web.Request) -> web.Response:
    if request.transport:
        request.transport.abort()
    return web.Response(status=503)
