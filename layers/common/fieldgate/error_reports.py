"""Unexpected errors, told to Sentry where `SENTRY_DSN_SECRET_ARN` (or `SENTRY_DSN`) says where.

Whatever is logged as an error with its trace is noted, and so is what ends an invocation; expected
errors are not: they are answers, or outages that have alarms. What was noted is sent when the
invocation is over, because Lambda freezes the environment then. It goes as the log does: masked,
without bodies and without the values of variables. While Sentry is away nobody waits for it more
than once a minute, and nothing fails.

Nothing of it is loaded before there is an error to report.
"""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, wraps
from typing import TYPE_CHECKING, Any, override

from fieldgate import request_id
from fieldgate.errors import ConfigurationError, FieldgateError

if TYPE_CHECKING:
    from sentry_sdk.transport import HttpTransport

DSN = "SENTRY_DSN"
# Of one invocation; what fails more often fails for one reason.
MOST_REPORTS = 10
# For all reports of an invocation, and how long none are tried after it wasn't enough.
SEND_SECONDS = 1
REST_SECONDS = 60


@dataclass(frozen=True)
class _Noted:
    error: BaseException
    message: str
    request_id: str


_noted: list[_Noted] = []


class NotingHandler(logging.Handler):
    """Notes what is logged with a trace, for the end of the invocation."""

    @override
    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            _note(error, record.getMessage())


def reported[**P, R](handler: Callable[P, R]) -> Callable[P, R]:
    """Have the errors of each call of a Lambda handler reported, once the call is over."""

    @wraps(handler)
    def entry(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return handler(*args, **kwargs)
        except Exception as error:
            _note(error, "invocation failed")
            raise
        finally:
            if _noted:  # only where there is somebody to tell
                _send()

    return entry


def _is_wanted() -> bool:
    # A deployment without Sentry has the variable, and nothing in it.
    return bool(os.environ.get(f"{DSN}_SECRET_ARN") or os.environ.get(DSN))


def _note(error: BaseException, message: str) -> None:
    """Note an error that nobody expected, once, also where it was logged and then raised."""
    if isinstance(error, FieldgateError) or len(_noted) >= MOST_REPORTS or not _is_wanted():
        return
    known = [one.error for one in _noted]
    if error not in known and error.__context__ not in known:
        _noted.append(_Noted(error, message, request_id.current()))


def _send() -> None:
    from fieldgate.observability import logger

    noted = _noted.copy()
    try:
        _reporter().send(noted)
    except Exception as error:  # noqa: BLE001 no report is worth a request
        logger().warning("errors not reported", extra={"reason": repr(error)})
    finally:
        _noted.clear()


@cache
def _reporter() -> "_Reporter":
    return _Reporter()


class _Reporter:
    def __init__(self) -> None:
        self._is_set_up = False
        self._rests_until = 0.0

    def send(self, noted: list[_Noted]) -> None:
        """Send reports, unless a try that ended badly was less than a minute ago.

        Raises:
            ConfigurationError, Unavailable: there is no DSN to be had.
            TimeoutError: Sentry does not answer.

        """
        began = time.monotonic()
        if began < self._rests_until:
            return
        self._rests_until = began + REST_SECONDS
        self._set_up()
        self._send(noted)
        self._rests_until = 0.0

    def _set_up(self) -> None:
        import sentry_sdk

        from fieldgate.observability import mask
        from fieldgate.settings import lookup

        if self._is_set_up:
            return
        dsn = (lookup(DSN) or "").strip()
        if not dsn:
            raise ConfigurationError(f"{DSN} is empty")
        sentry_sdk.init(
            dsn=dsn,
            transport=_short_transport(),
            environment=os.environ.get("ENVIRONMENT"),
            release=os.environ.get("COMMIT_SHA"),
            server_name=os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "fieldgate"),
            before_send=lambda event, _hint: mask(event),
            include_local_variables=False,
            max_request_body_size="never",
            max_breadcrumbs=0,
            # None of them: they patch libraries, and add what isn't ours to send.
            default_integrations=False,
            auto_enabling_integrations=False,
            auto_session_tracking=False,
            send_client_reports=False,
        )
        self._is_set_up = True

    def _send(self, noted: list[_Noted]) -> None:
        import sentry_sdk

        for one in noted:
            with sentry_sdk.new_scope() as scope:
                scope.set_tag("request_id", one.request_id or "none")
                scope.set_tag("function", os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "none"))
                scope.set_tag("logged_as", one.message)
                scope.capture_exception(one.error)
        began = time.monotonic()
        sentry_sdk.flush(SEND_SECONDS)
        if time.monotonic() - began >= SEND_SECONDS:
            raise TimeoutError(f"not sent within {SEND_SECONDS} s")


def _short_transport() -> "type[HttpTransport]":
    from sentry_sdk.transport import HttpTransport

    class ShortTransport(HttpTransport):
        """Gives up when nobody waits any more: the SDK's own limit is 30 s, four times over."""

        TIMEOUT = SEND_SECONDS

        @override
        def _get_pool_options(self) -> dict[str, Any]:
            return super()._get_pool_options() | {"retries": False}

    return ShortTransport
