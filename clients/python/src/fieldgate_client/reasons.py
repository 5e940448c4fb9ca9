"""Why something did not arrive, in words for people: the contract's codes, errors on the way."""

import ssl

import httpx

# docs/api.md, `rejectedReason` and `failureReason`, and `upload_run`'s own. What the API refuses at
# once comes with a sentence of the server's.
SENTENCES = {
    # The file itself.
    "EMPTY": "The file is empty.",
    "NOT_AN_IMAGE": "It is no JPEG, PNG or WebP photo, whatever its name says.",
    "NOT_TEXT": "It is no plain text, whatever its name says.",
    "TYPE_MISMATCH": "Its content is of another kind than its name says, or it has macros.",
    "CORRUPT": "It is broken or cut off.",
    "TOO_MANY_PIXELS": "The picture has more pixels than the server takes.",
    "TOO_COMPLEX": "It has more in it than the server takes, once unpacked.",
    "TOO_LARGE": "It is larger than the server takes.",
    "ANIMATED": "It is an animation; only still pictures are taken.",
    "UNSUPPORTED_ENCODING": "It is written in an unusual way, which isn't taken.",
    "ENCRYPTED": "It is protected by a password.",
    # What came of it on the way.
    "SIZE_MISMATCH": "What arrived is longer or shorter than what was announced.",
    "CHECKSUM_MISMATCH": "What arrived is not what was announced.",
    "PROCESSING_FAILED": "The server can't make smaller pictures of it.",
    "ASSEMBLY_FAILED": "The server didn't manage to put it together.",
    "TOO_MANY_FAILURES": "Too many chunks in a row could not be sent.",
    "CHUNKS_KEEP_MISSING": "Storage keeps losing chunks that it took.",
    "NOT_UNDERSTOOD": "What the server says of it makes no sense.",
    "IDEMPOTENCY_KEY_REUSED": "The server takes it for another request, under a new key as well.",
    "STILL_ASSEMBLING": "The server is still putting it together.",
}

CERTIFICATE_REFUSED = "the server's certificate isn't good, or this device's clock is wrong"

# The first that fits.
_IN_WORDS: tuple[tuple[type[Exception], str], ...] = (
    (TimeoutError, "no answer in time"),
    (httpx.ConnectError, "no connection"),
    (httpx.ConnectTimeout, "no connection in time"),
    (httpx.TimeoutException, "no answer in time"),
    (httpx.NetworkError, "the connection was cut"),
    (httpx.RemoteProtocolError, "the connection was cut"),
    (OSError, "no connection"),
)


def in_words(error: Exception) -> str:
    """Say why there was no answer; the libraries' own words are for programmers, and often none."""
    if _is_about_a_certificate(error):
        return CERTIFICATE_REFUSED
    for kind, words in _IN_WORDS:
        if isinstance(error, kind):
            return words
    return str(error) or type(error).__name__


def _is_about_a_certificate(error: BaseException) -> bool:
    """Whether a refused certificate is behind it: to httpx that is one more ConnectError."""
    seen: list[BaseException] = []
    behind: BaseException | None = error
    while behind is not None and behind not in seen:
        if isinstance(behind, ssl.SSLCertVerificationError):
            return True
        seen.append(behind)
        behind = behind.__cause__ or behind.__context__
    return False
