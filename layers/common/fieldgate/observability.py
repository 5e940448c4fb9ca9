"""Structured logs, metrics and traces, by Powertools, with personal data masked.

Everything is built at first use: importing this module creates nothing.
"""

import logging
import os
import re
from collections.abc import Callable
from functools import cache, lru_cache, wraps
from typing import TYPE_CHECKING, Any

from fieldgate.error_reports import NotingHandler, reported

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger

MASK = "***"
METRICS_NAMESPACE = "Fieldgate"

# Keys whose values never reach a log line, in any casing, with or without _ and -.
_SECRET_KEYS = re.compile(
    r"password|secret|token|authorization|cookie|code|otp|phone|msisdn|email|signature|credential|"
    r"(api|access|private|signing)key"
)
# Words that contain one of the above and mean no harm.
_HARMLESS_KEYS = frozenset({"statuscode", "errorcode", "countrycode", "exitcode", "tokentype"})

# Each begins where a run of its characters begins, so that a long text is read once and not once
# per character.
_SECRET_TEXT = [
    # JSON web tokens, wherever they stand.
    re.compile(r"(?<![\w-])eyJ[\w-]{5,}\.[\w-]+\.[\w-]*"),
    # Credentials in connection strings: scheme://user:password@, or without the user.
    re.compile(r"(?<=://)[^/\s:@]*:[^/\s]+(?=@)"),
    # E.164 numbers, also in a query string.
    re.compile(r"(?:(?<![\w+])\+|%2B)\d{8,15}(?!\d)", re.IGNORECASE),
    # E-mail addresses.
    re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+"),
]
# Values in presigned URLs, query strings and .NET's connection strings.
_SECRET_VALUE = re.compile(
    r"""(?<![\w-])([\w-]*(?:signature|token|password|pwd|otp)=|code=(?=\d{4}))[^\s&;,'"]+""",
    re.IGNORECASE,
)
# What each of them needs, so that most texts are read once and not five times.
_SUSPICIOUS = re.compile(r"eyJ|://|[@=]|(\+|%2B)\d{8}", re.IGNORECASE)


def mask(value: Any, key: str = "") -> Any:
    """Return `value` (any JSON shape) with secrets and personal data replaced by `***`."""
    if key and value is not None and _is_secret(key):
        return MASK
    match value:
        case str():
            return _masked(value)
        case dict():
            return {_masked_key(str(name)): mask(item, str(name)) for name, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [mask(item) for item in value]
        case None | bool() | int() | float():
            return value
        case _:  # it would be written as its text
            return mask(str(value))


def _masked(text: str) -> str:
    if not _SUSPICIOUS.search(text):
        return text
    for pattern in _SECRET_TEXT:
        text = pattern.sub(MASK, text)
    return _SECRET_VALUE.sub(rf"\1{MASK}", text)


# Keys are few, and the same on each line.
@lru_cache(maxsize=256)
def _masked_key(key: str) -> str:
    return _masked(key)


@lru_cache(maxsize=256)
def _is_secret(key: str) -> bool:
    key = re.sub("[_-]", "", key).lower()
    return key not in _HARMLESS_KEYS and bool(_SECRET_KEYS.search(key))


@cache
def logger() -> "Logger":
    """The function's logger: one JSON object a line, masked, with the request id once known."""
    from aws_lambda_powertools import Logger
    from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

    class MaskingFormatter(LambdaPowertoolsFormatter):
        def serialize(self, log: dict[str, Any]) -> str:  # type: ignore[override]
            return super().serialize(mask(log))

    made = Logger(logger_formatter=MaskingFormatter(), utc=True)
    made.addHandler(NotingHandler(logging.ERROR))
    return made


def count(metric: str, **dimensions: str) -> None:
    """Add one to a CloudWatch metric of the namespace `Fieldgate`, by dimensions."""
    gauge(metric, 1, **dimensions)


def gauge(metric: str, value: float, **dimensions: str) -> None:
    """Record how many there are, as `count` does."""
    _measure(metric, "Count", value, dimensions)


def percentage(metric: str, value: float, **dimensions: str) -> None:
    """Record a share of a hundred, as `gauge` does."""
    _measure(metric, "Percent", value, dimensions)


def _measure(metric: str, unit: str, value: float, dimensions: dict[str, str]) -> None:
    """Write a metric at once, as a log line in the embedded format: no call, and nothing to lose.

    Powertools adds the dimension `service` (POWERTOOLS_SERVICE_NAME). To CloudWatch, metrics of one
    name with other dimensions are others: an alarm names all of them, `service` as well.
    """
    from aws_lambda_powertools.metrics import MetricUnit, single_metric

    with single_metric(
        metric,
        MetricUnit(unit),
        value,
        namespace=METRICS_NAMESPACE,
        default_dimensions=dimensions,
    ):
        pass


def observed[**P, R](handler: Callable[P, R]) -> Callable[P, R]:
    """Report unexpected errors of a Lambda handler; trace its calls where TRACING_MODE is Active.

    Errors are `reported`, masked. A call is a segment of X-Ray, whose SDK isn't even imported
    elsewhere: 100 ms of a cold start. Neither answers nor errors are recorded with it: they hold
    personal data, and the log has them masked.
    """

    @cache
    def chosen() -> Callable[P, R]:
        if os.environ.get("TRACING_MODE") != "Active":
            return handler
        from aws_lambda_powertools import Tracer

        capture = Tracer(auto_patch=False).capture_lambda_handler
        return capture(handler, capture_response=False, capture_error=False)

    @reported
    @wraps(handler)
    def entry(*args: P.args, **kwargs: P.kwargs) -> R:
        return chosen()(*args, **kwargs)

    return entry
