"""What can go wrong, as far as whoever calls us has to tell it apart.

`is_passing` says of any of them whether the same may work later.
"""

from collections.abc import Mapping, Sequence

from fieldgate_client.reasons import SENTENCES

# Refusals that pass by themselves: too slow, too early, too many (RFC 9110, 8470, 6585).
PASSING_STATUSES = frozenset({408, 425, 429})
# The same, in the words of an open connection.
PASSING_CODES = frozenset({"RATE_LIMITED", "UNAVAILABLE", "INTERNAL_ERROR"})
# It was there and isn't any more, or was never: NOT_FOUND, GONE.
GONE_STATUSES = frozenset({404, 410})


class ClientError(Exception):
    """Anything that this package raises on purpose."""


class NetworkError(ClientError):
    """There is no way to the server, nothing came back, or somebody else answered.

    What was asked for may have been done all the same.
    """


class NotUnderstood(NetworkError):
    """The server answered, and what it says of what was asked for is not the contract's.

    That may be so of one thing only, such as one upload: the others needn't wait for it.
    """


class ApiError(ClientError):
    """The server's refusal.

    `code` is the contract's (VALIDATION_ERROR ...), empty when the gateway answered by itself;
    `details` are `{"field", "message"}`; `retry_after` is in seconds from now, where it was said.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        details: Sequence[Mapping[str, str]] = (),
        retry_after: float | None = None,
    ) -> None:
        self.status = status
        self.code = code
        self.message = message
        self.details = list(details)
        self.retry_after = retry_after
        super().__init__(f"{f'{status} {code}'.rstrip()}: {self.sentence}")

    @property
    def sentence(self) -> str:
        """The server's message with its details."""
        said = "; ".join(f"{each['field']} {each['message']}".strip() for each in self.details)
        return f"{self.message.removesuffix('.')}: {said}." if said else self.message


class SignedOut(ClientError):
    """Nobody is signed in (any more): the user has to sign in again. Uploads are kept."""


class RealtimeRefused(ClientError):
    """The server refused what was asked of it over an open connection, which goes on.

    `code` is the contract's (FORBIDDEN, VALIDATION_ERROR ...).
    """

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(f"{code}: {message}")


class RealtimeEnded(ClientError):
    """The server has closed the connection, and said not to come back."""


class UploadFailed(ClientError):
    """The upload stopped; what has arrived is kept where it is.

    `reason` is a code: the server's own (TOO_MANY_FAILURES, CHECKSUM_MISMATCH, TYPE_MISMATCH,
    PAYLOAD_TOO_LARGE ...) or one of ours; `message` says what `reasons.SENTENCES` doesn't. Running
    it again takes it up where it stopped if `may_resume`; otherwise the file itself was refused.
    """

    def __init__(self, reason: str, *, may_resume: bool = True, message: str = "") -> None:
        words = " ".join(filter(None, (SENTENCES.get(reason), message)))
        super().__init__(f"{reason}: {words}" if words else reason)
        self.reason = reason
        self.may_resume = may_resume


class FileChanged(ClientError):
    """The file is not the one that was added: gone, or with other bytes. Nothing was mixed."""


class UploadBusy(ClientError):
    """Another process, or another task of this one, is sending this upload."""


class UploadPaused(ClientError):
    """The user paused the upload."""


class UploadCancelled(ClientError):
    """The user gave the upload up."""


class OtherAccount(ClientError):
    """The upload belongs to somebody else who used this device, or to another server."""


def is_passing(error: Exception) -> bool:
    """Say whether the very same request may succeed later, without anybody doing anything."""
    if isinstance(error, ApiError):
        # 409 with Retry-After: the same request is still being worked on.
        return (
            error.status in PASSING_STATUSES
            or error.status >= 500
            or (error.status == 409 and error.retry_after is not None)
        )
    if isinstance(error, RealtimeRefused):
        return error.code in PASSING_CODES
    return isinstance(error, NetworkError)
