"""Structured logs, metrics and traces, by Powertools, with personal data masked.

Everything is built at first use: importing this module creates nothing.
"""

import re
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger, Metrics, Tracer

MASK = "***"

# Keys whose values never reach a log line, in any casing, with or without _ and -.
_SECRET_KEYS = re.compile(
    r"(password|secret|token|authorization|cookie|code|otp|phone|msisdn|email|signature|apikey|"
    r"credential)",
    re.IGNORECASE,
)
# Words that contain one of the above and mean no harm.
_HARMLESS_KEYS = frozenset({"status_code", "error_code", "country_code", "exit_code", "tokentype"})

_SECRET_TEXT = [
    # JSON web tokens, wherever they stand.
    re.compile(r"\beyJ[\w-]{5,}\.[\w-]+\.[\w-]*"),
    # Credentials in connection strings: scheme://user:password@
    re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"),
    # E.164 numbers.
    re.compile(r"(?<![\w+])\+\d{8,15}\b"),
    # Signatures of presigned URLs.
    re.compile(r"(?<=X-Amz-Signature=)[0-9a-fA-F]+"),
]


def mask(value: Any, key: str = "") -> Any:
    """Return `value` (any JSON shape) with secrets and personal data replaced by `***`."""
    if key and value is not None and _is_secret(key):
        return MASK
    match value:
        case str():
            for pattern in _SECRET_TEXT:
                value = pattern.sub(MASK, value)
            return value
        case dict():
            return {name: mask(item, str(name)) for name, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [mask(item) for item in value]
        case _:
            return value


def _is_secret(key: str) -> bool:
    return key.lower() not in _HARMLESS_KEYS and bool(_SECRET_KEYS.search(key.replace("-", "_")))


@cache
def logger() -> "Logger":
    """The function's logger: one JSON object a line, masked, with the request id once known."""
    from aws_lambda_powertools import Logger
    from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

    class MaskingFormatter(LambdaPowertoolsFormatter):
        def serialize(self, log: dict[str, Any]) -> str:  # type: ignore[override]
            return super().serialize(mask(log))

    return Logger(logger_formatter=MaskingFormatter(), utc=True)


@cache
def metrics() -> "Metrics":
    """CloudWatch metrics in the embedded format: written with the logs, no call of their own."""
    from aws_lambda_powertools import Metrics

    return Metrics()


@cache
def tracer() -> "Tracer":
    """X-Ray segments where the function has active tracing; elsewhere they cost nothing."""
    from aws_lambda_powertools import Tracer

    return Tracer(auto_patch=False)
