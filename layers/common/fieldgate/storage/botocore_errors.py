"""botocore's errors as ours: worth another try, missing, or permanent."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from fieldgate.deadline import seconds_left
from fieldgate.errors import Unavailable
from fieldgate.storage import ObjectExists, ObjectMissing, PartsGone, StorageError

_MISSING = frozenset({"NoSuchKey", "404", "NotFound"})
# Those that come with a 4xx status and pass by themselves all the same.
_PASSING = frozenset(
    {"RequestTimeout", "OperationAborted", "ConditionalRequestConflict", "TooManyRequests"}
)


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Re-raise what botocore raises inside as ours; `what` names the call and its object.

    Raises Unavailable before anything is called when the work's deadline is over.
    """
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        ConnectionError,  # noqa: A004 botocore's: could not connect
        HTTPClientError,
        IncompleteReadError,
    )

    seconds_left()
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        raise storage_fault(what, code, status) from error
    except (ConnectionError, HTTPClientError, IncompleteReadError) as error:
        # Connection refused, cut or timed out, before or while reading the answer.
        raise unavailable() from error
    except BotoCoreError as error:
        raise StorageError(f"{what}: {error}") from error


def storage_fault(what: str, code: str, status: int = 0) -> Unavailable | StorageError:
    """Return the error that S3's `code` and HTTP status stand for."""
    # A bucket that is not there is a misconfiguration, not a missing object.
    if code in _MISSING:
        return ObjectMissing(what)
    if code == "PreconditionFailed":
        return ObjectExists(what)
    if code == "NoSuchUpload":
        return PartsGone(what)
    throttled = code.startswith(("SlowDown", "Throttl", "InternalError", "ServiceUnavailable"))
    if (
        throttled
        or code in _PASSING
        or status >= HTTPStatus.INTERNAL_SERVER_ERROR
        or status == HTTPStatus.TOO_MANY_REQUESTS
    ):
        return unavailable()
    return StorageError(f"{what}: {code or status}")


def unavailable() -> Unavailable:
    """Return the retryable error, worded for the caller."""
    return Unavailable("Storage is not available right now. Please try again.")
