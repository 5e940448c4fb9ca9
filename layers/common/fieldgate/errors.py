"""The errors a caller may see. Each class is one row of the table of statuses in docs/api.md."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar


@dataclass(frozen=True)
class ErrorDetail:
    """One thing that is wrong, and where: `field` is a dotted camelCase path into the request."""

    field: str
    message: str


@dataclass
class FieldgateError(Exception):
    """Base of every expected failure. `message` is shown to the caller, so it is ours to word.

    `headers` are added to the HTTP answer (Retry-After and the like).
    """

    status: ClassVar[int] = 500
    default_code: ClassVar[str] = "INTERNAL_ERROR"

    message: str
    code: str = ""
    details: Sequence[ErrorDetail] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Fill in the class's code unless a more exact one was given."""
        super().__init__(self.message)
        self.code = self.code or self.default_code

    def __str__(self) -> str:
        """Read well in a log line."""
        return f"{self.code}: {self.message}"


class ValidationFailed(FieldgateError):
    """The body, query or path does not validate."""

    status = 400
    default_code = "VALIDATION_ERROR"


class Unauthorized(FieldgateError):
    """No token, or one that is not to be trusted."""

    status = 401
    default_code = "UNAUTHORIZED"


class TokenExpired(Unauthorized):
    """The access token was good once."""

    default_code = "TOKEN_EXPIRED"


class InvalidCredentials(Unauthorized):
    """Wrong password or code; never says which part was wrong."""

    default_code = "INVALID_CREDENTIALS"


class Forbidden(FieldgateError):
    """The caller is known and lacks the permission."""

    status = 403
    default_code = "FORBIDDEN"


class NotFound(FieldgateError):
    """No such thing, or not the caller's to know of."""

    status = 404
    default_code = "NOT_FOUND"


class MethodNotAllowed(FieldgateError):
    """The path exists, the method does not."""

    status = 405
    default_code = "METHOD_NOT_ALLOWED"


class Conflict(FieldgateError):
    """The state of the thing forbids it now."""

    status = 409
    default_code = "CONFLICT"


class Gone(FieldgateError):
    """Expired and not to come back."""

    status = 410
    default_code = "GONE"


class PayloadTooLarge(FieldgateError):
    """The body or the declared file is over its limit."""

    status = 413
    default_code = "PAYLOAD_TOO_LARGE"


class UnsupportedMediaType(FieldgateError):
    """The file or body is of a kind this route does not take."""

    status = 415
    default_code = "UNSUPPORTED_MEDIA_TYPE"


class BusinessRule(FieldgateError):
    """Valid input that a rule refuses."""

    status = 422
    default_code = "BUSINESS_RULE"


class RateLimited(FieldgateError):
    """Too many; `headers` say when to come back."""

    status = 429
    default_code = "RATE_LIMITED"


class Unavailable(FieldgateError):
    """A dependency is down or too slow. The caller may try again; a queue worker will."""

    status = 503
    default_code = "UNAVAILABLE"


class ConfigurationError(Exception):
    """The deployment is wrong, not the request: a required setting is missing or malformed."""
