"""The app factory: every HTTP function is a FastAPI app made here, behind Mangum."""

import asyncio
import threading
import time
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from mangum import Mangum
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from fieldgate import deadline
from fieldgate.db import waits as database_waits
from fieldgate.errors import FieldgateError
from fieldgate.http import failures
from fieldgate.http.edge import Edge
from fieldgate.http.limits import Limit, limit_request
from fieldgate.http.slowness import note_if_slow
from fieldgate.observability import observed

# Nothing is begun later than this in a request. What was begun by then ends within the function's
# time-out, so that the answer is always ours.
REQUEST_SECONDS = 10

_of_this_thread = threading.local()

type LambdaHandler = Callable[[dict[str, Any], Any], dict[str, Any]]


def create_app(
    title: str,
    *,
    limit: Limit,
    public: bool = False,
    max_body_bytes: int = 64 * 1024,
) -> FastAPI:
    """Make the app of one function.

    Every route of it needs a signed-in caller unless `public`. `limit` is the class of its rate
    limit (see limits.py): the caller's, or on public routes the network address's, and a public
    route whose body names somebody calls `limit_identifier` as well. "by_method" is for apps that
    both read and write, None for what monitors ask, and for the reports of a provider.

    Around the routes stand, in this order: request id, security headers, error mapping, caller,
    rate limit, body limit, validation. (CORS is the gateway's:
    docs/decisions/0005-cors-at-the-gateway.md.)
    """
    app = FastAPI(title=title, openapi_url=None, redirect_slashes=False)
    admit = partial(limit_request, limit=limit, public=public)
    app.add_middleware(Edge, admit=admit, max_body_bytes=max_body_bytes)
    app.add_exception_handler(FieldgateError, _answer)
    app.add_exception_handler(RequestValidationError, _answer)
    app.add_exception_handler(HTTPException, _answer)
    return app


def entry_point(app: FastAPI) -> LambdaHandler:
    """Return the Lambda handler of `app`, for API Gateway's HTTP API events (payload 2.0)."""

    @cache
    def adapter() -> Mangum:
        return Mangum(app, lifespan="off")

    @observed
    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        # Mangum runs on the thread's current loop. Left to itself it makes one when it is built,
        # which would be at import: files open before there is anything to do.
        asyncio.set_event_loop(_event_loop())
        began, waits = time.monotonic(), database_waits.count
        with deadline.within(REQUEST_SECONDS):
            answer = adapter()(event, context)
        seconds = time.monotonic() - began
        note_if_slow(event, answer["statusCode"], seconds, database_waits.count - waits)
        return answer

    return handler


def _event_loop() -> asyncio.AbstractEventLoop:
    """Return this thread's loop, made at first use and kept."""
    if not hasattr(_of_this_thread, "loop"):
        _of_this_thread.loop = asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = _of_this_thread.loop
    return loop


async def _answer(_request: Request, error: Exception) -> JSONResponse:
    return failures.response(error)
