"""From an exception to the contract's error answer. Nothing of an unexpected one is shown."""

from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from fieldgate import errors
from fieldgate.errors import ErrorDetail, FieldgateError
from fieldgate.http.envelope import meta
from fieldgate.observability import count, logger

# What the framework itself refuses, before a route of ours is reached.
_FRAMEWORK_REFUSALS: dict[int, tuple[type[FieldgateError], str]] = {
    HTTPStatus.BAD_REQUEST: (errors.ValidationFailed, "The body can't be read as JSON."),
    HTTPStatus.NOT_FOUND: (errors.NotFound, "There is nothing at this address."),
    HTTPStatus.METHOD_NOT_ALLOWED: (
        errors.MethodNotAllowed,
        "This address doesn't take that method.",
    ),
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: (
        errors.UnsupportedMediaType,
        "The body must be application/json.",
    ),
}


def response(error: Exception) -> JSONResponse:
    """Answer `error` in the envelope, and log it: info when expected, with a trace when a bug."""
    failure = _as_ours(error)
    if failure is None:
        logger().exception("unexpected error", exc_info=error)
        count("UnexpectedError")
        failure = FieldgateError("Something went wrong on our side. Please try again later.")
    elif failure.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        # With what it came from: nobody else hears of a wrong password or an unknown host.
        logger().error("request failed", exc_info=error, extra=_described(failure))
    else:
        logger().info("request refused", extra=_described(failure))
    return JSONResponse(body(failure), failure.status, dict(failure.headers))


def body(failure: FieldgateError) -> dict[str, Any]:
    """Build the error envelope of the contract."""
    details = [{"field": detail.field, "message": detail.message} for detail in failure.details]
    return {
        "success": False,
        "error": {"code": failure.code, "message": failure.message, "details": details},
        "meta": meta().model_dump(mode="json", by_alias=True),
    }


def _described(failure: FieldgateError) -> dict[str, Any]:
    return {"status_code": failure.status, "error_code": failure.code}


def _as_ours(error: Exception) -> FieldgateError | None:
    match error:
        case FieldgateError():
            return error
        case RequestValidationError():
            return _validation_failure(error)
        case HTTPException() if error.status_code in _FRAMEWORK_REFUSALS:
            kind, sentence = _FRAMEWORK_REFUSALS[error.status_code]
            return kind(sentence, headers=error.headers or {})
        case _:
            return None


def _validation_failure(error: RequestValidationError) -> FieldgateError:
    details = []
    for fault in error.errors():
        if fault["type"] == "json_invalid":
            details.append(ErrorDetail("body", "is not valid JSON"))
            continue
        if fault["type"] == "model_attributes_type" and fault["loc"] == ("body",):
            # Also what a JSON text sent under another content type comes to.
            details.append(ErrorDetail("body", "must be a JSON object, sent as application/json"))
            continue
        # The first part says where from: body, query, path. The reader knows the name.
        place = ".".join(str(part) for part in fault["loc"][1:]) or str(fault["loc"][0])
        details.append(ErrorDetail(place, fault["msg"].removeprefix("Value error, ")))
    return errors.ValidationFailed("The request is not valid.", details=details)
