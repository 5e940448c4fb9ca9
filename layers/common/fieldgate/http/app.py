"""The app factory: every HTTP function is a FastAPI app made here, behind Mangum."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from functools import cache
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from mangum import Mangum
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from fieldgate import deadline
from fieldgate.errors import FieldgateError
from fieldgate.http import failures
from fieldgate.http.caller import caller_of, current_caller
from fieldgate.http.edge import Edge
from fieldgate.observability import traced

# Nothing is begun later than this in a request. What was begun by then ends within the function's
# time-out, so that the answer is always ours.
REQUEST_SECONDS = 10

_of_this_thread = threading.local()

type LambdaHandler = Callable[[dict[str, Any], Any], dict[str, Any]]


def create_app(title: str, *, public: bool = False, max_body_bytes: int = 64 * 1024) -> FastAPI:
    """Make the app of one function.

    Every route of it needs a signed-in caller unless `public`. Around the routes stand, in this
    order: request id, security headers, body limit, error mapping, caller, validation. (CORS is
    the gateway's: docs/decisions/0005-cors-at-the-gateway.md.)
    """
    app = FastAPI(
        title=title,
        openapi_url=None,
        redirect_slashes=False,
        dependencies=[] if public else [Depends(current_caller)],
    )
    if not public:
        app.router.route_class = _CallerFirst
    app.add_middleware(Edge, max_body_bytes=max_body_bytes)
    app.add_exception_handler(FieldgateError, _answer)
    app.add_exception_handler(RequestValidationError, _answer)
    app.add_exception_handler(HTTPException, _answer)
    return app


def entry_point(app: FastAPI) -> LambdaHandler:
    """Return the Lambda handler of `app`, for API Gateway's HTTP API events (payload 2.0)."""

    @cache
    def adapter() -> Mangum:
        return Mangum(app, lifespan="off")

    @traced
    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        # Mangum runs on the thread's current loop. Left to itself it makes one when it is built,
        # which would be at import: files open before there is anything to do.
        asyncio.set_event_loop(_event_loop())
        with deadline.within(REQUEST_SECONDS):
            return adapter()(event, context)

    return handler


class _CallerFirst(APIRoute):
    """Asks who is calling before the body is parsed, which FastAPI does before any dependency."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def answer_caller(request: Request) -> Response:
            caller_of(request)
            return await answer(request)

        return answer_caller


def _event_loop() -> asyncio.AbstractEventLoop:
    """Return this thread's loop, made at first use and kept."""
    if not hasattr(_of_this_thread, "loop"):
        _of_this_thread.loop = asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = _of_this_thread.loop
    return loop


async def _answer(_request: Request, error: Exception) -> JSONResponse:
    return failures.response(error)
