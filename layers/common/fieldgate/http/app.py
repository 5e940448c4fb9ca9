"""The app factory: every HTTP function is a FastAPI app made here, behind Mangum."""

from collections.abc import Callable
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from mangum import Mangum
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from fieldgate.errors import FieldgateError
from fieldgate.http import failures
from fieldgate.http.caller import current_caller
from fieldgate.http.edge import Edge

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
    app.add_middleware(Edge, max_body_bytes=max_body_bytes)
    app.add_exception_handler(FieldgateError, _answer)
    app.add_exception_handler(RequestValidationError, _answer)
    app.add_exception_handler(HTTPException, _answer)
    return app


def entry_point(app: FastAPI) -> LambdaHandler:
    """Return the Lambda handler of `app`, for API Gateway's HTTP API events (payload 2.0)."""
    return Mangum(app, lifespan="off")


async def _answer(_request: Request, error: Exception) -> JSONResponse:
    return failures.response(error)
