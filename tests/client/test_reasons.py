"""Why something did not arrive, in words."""

import re
import ssl
from pathlib import Path

import httpx
import pytest

from fieldgate_client import upload_run
from fieldgate_client.errors import ApiError, UploadFailed
from fieldgate_client.reasons import CERTIFICATE_REFUSED, SENTENCES, in_words

CONTRACT = (Path(__file__).parents[2] / "docs/api.md").read_text()


def codes_of_the_contract() -> set[str]:
    """Return the codes of both tables of reasons: a photo's, and an upload's."""
    found: set[str] = set()
    for heading in ("| reason | |", "| `failureReason` | | |"):
        table = CONTRACT.partition(heading)[2].partition("\n\n")[0]
        firsts = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
        assert firsts, heading
        found.update(*(re.findall(r"`([A-Z_]+)`", first) for first in firsts))
    return found


def test_every_code_of_the_contract_has_a_sentence() -> None:
    assert {"EMPTY", "ENCRYPTED", "TOO_MANY_FAILURES", "CHECKSUM_MISMATCH"} <= (
        codes := codes_of_the_contract()
    )
    assert codes - set(SENTENCES) == set()


def test_every_code_of_ours_has_a_sentence() -> None:
    ours = {
        upload_run.CHUNKS_KEEP_MISSING,
        upload_run.STILL_ASSEMBLING,
        upload_run.NOT_UNDERSTOOD,
        upload_run.IDEMPOTENCY_KEY_REUSED,
    }

    assert set(SENTENCES) == codes_of_the_contract() | ours


def test_a_sentence_is_said_with_the_code_and_what_else_is_known() -> None:
    assert str(UploadFailed("ENCRYPTED")) == "ENCRYPTED: It is protected by a password."
    assert str(UploadFailed("TOO_MANY_FAILURES", message="The last: no answer in time.")) == (
        "TOO_MANY_FAILURES: Too many chunks in a row could not be sent."
        " The last: no answer in time."
    )
    assert str(UploadFailed("BRAND_NEW")) == "BRAND_NEW"


def test_a_refusal_is_said_with_its_details() -> None:
    details = [
        {"field": "size", "message": "must be at least 1 byte"},
        {"field": "filename", "message": "has two extensions"},
    ]
    error = ApiError(400, "VALIDATION_ERROR", "The request is not valid.", details)

    assert str(error) == (
        "400 VALIDATION_ERROR: The request is not valid: size must be at least 1 byte;"
        " filename has two extensions."
    )
    assert str(ApiError(429, "", "Too Many Requests")) == "429: Too Many Requests"
    # What the server says is said as it is; and a detail may be about nothing in particular.
    whole = [{"field": "", "message": "says : nothing"}]
    assert str(ApiError(400, "BAD", "It said : no.", whole)) == (
        "400 BAD: It said : no: says : nothing."
    )


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (httpx.ConnectError("[Errno 111] Connection refused"), "no connection"),
        (httpx.ConnectTimeout(""), "no connection in time"),
        (httpx.ReadTimeout(""), "no answer in time"),
        (TimeoutError(), "no answer in time"),
        (httpx.ReadError(""), "the connection was cut"),
        (httpx.WriteError(""), "the connection was cut"),
        (httpx.RemoteProtocolError("Server disconnected"), "the connection was cut"),
        (httpx.UnsupportedProtocol("no such protocol"), "no such protocol"),
        (httpx.TooManyRedirects(""), "TooManyRedirects"),
        (ConnectionRefusedError(111, "Connect call failed"), "no connection"),
    ],
)
def test_what_libraries_say_is_put_into_words(error: Exception, words: str) -> None:
    assert in_words(error) == words


def caused(error: Exception, *, by: Exception) -> Exception:
    error.__cause__ = by
    return error


def test_a_certificate_that_is_refused_is_no_missing_connection() -> None:
    refused = ssl.SSLCertVerificationError(1, "certificate has expired")
    between = caused(OSError("TLS"), by=refused)

    assert in_words(caused(httpx.ConnectError("TLS"), by=between)) == CERTIFICATE_REFUSED
    while_handling = httpx.ConnectError("TLS")
    while_handling.__context__ = refused
    assert in_words(while_handling) == CERTIFICATE_REFUSED
    # A handshake that is cut says nothing of certificates.
    cut = caused(httpx.ConnectError("TLS"), by=ssl.SSLEOFError(8, "EOF"))
    assert in_words(cut) == "no connection"
