"""Is this request signed as AWS would have it? Signature Version 4 from the server's side.

The signature is recomputed by botocore's own signer. Codes and statuses are S3's
(docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html).
"""

import hmac
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from urllib.parse import parse_qsl, quote, unquote_to_bytes

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

ALGORITHM = "AWS4-HMAC-SHA256"
MAX_SKEW = timedelta(minutes=15)
MAX_EXPIRES_SECONDS = 7 * 24 * 3600
_QUERY_FIELDS = ("Algorithm", "Credential", "Signature", "Date", "SignedHeaders", "Expires")
_AUTHORIZATION = re.compile(
    rf"{ALGORITHM} +Credential=([^, ]+) *, *SignedHeaders=([^, ]+) *, *Signature=([^, ]+)"
)


@dataclass(eq=False)
class Refused(Exception):
    """S3's answer to a request it does not take; `details` are further elements of the XML."""

    status: int
    code: str
    message: str
    details: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Received:
    """A request as it came over the wire: nothing decoded; header names in lower case."""

    method: str
    path: str
    query: str
    headers: list[tuple[str, str]]

    def header(self, name: str) -> str | None:
        """Return the first header of that (lower-case) name."""
        return next((value for header, value in self.headers if header == name), None)

    def parameters(self) -> list[tuple[str, str]]:
        """Return the decoded query, in order."""
        return parse_qsl(self.query, keep_blank_values=True)


@dataclass(frozen=True)
class Claim:
    """Who says to have signed which headers, when; `expires` in seconds, None for a header's."""

    access_key: str
    scope: tuple[str, str, str, str]
    timestamp: str
    expires: int | None
    signed_headers: frozenset[str]
    signature: str

    @classmethod
    def of(cls, request: Received) -> Self:
        """Read the claim from the query or the Authorization header; refuse when there is none."""
        query = dict(request.parameters())
        authorization = request.header("authorization")
        presigned = any(f"X-Amz-{name}" in query for name in _QUERY_FIELDS)
        if presigned and authorization:
            raise Refused(400, "InvalidArgument", "Only one auth mechanism allowed")
        if presigned:
            return cls._of_query(query)
        if authorization:
            return cls._of_header(authorization, request)
        if "AWSAccessKeyId" in query:
            raise _unsupported()
        raise Refused(403, "AccessDenied", "Access Denied")

    @classmethod
    def _of_query(cls, query: dict[str, str]) -> Self:
        missing = [name for name in _QUERY_FIELDS if f"X-Amz-{name}" not in query]
        if missing:
            raise _bad_query(f"Query-string authentication requires X-Amz-{missing[0]}")
        if query["X-Amz-Algorithm"] != ALGORITHM:
            raise _bad_query(f'X-Amz-Algorithm only supports "{ALGORITHM}"')
        if not re.fullmatch(r"\d{1,9}", query["X-Amz-Expires"]):
            raise _bad_query("X-Amz-Expires should be a non-negative number")
        expires = int(query["X-Amz-Expires"])
        if expires > MAX_EXPIRES_SECONDS:
            raise _bad_query("X-Amz-Expires must be less than a week (in seconds)")
        access_key, *scope = query["X-Amz-Credential"].rsplit("/", 4)
        if len(scope) != 4:
            raise _bad_query("Error parsing the X-Amz-Credential parameter")
        return cls(
            access_key=access_key,
            scope=(scope[0], scope[1], scope[2], scope[3]),
            timestamp=query["X-Amz-Date"],
            expires=expires,
            signed_headers=frozenset(query["X-Amz-SignedHeaders"].split(";")),
            signature=query["X-Amz-Signature"],
        )

    @classmethod
    def _of_header(cls, authorization: str, request: Received) -> Self:
        if not authorization.startswith(ALGORITHM):
            raise _unsupported()
        parts = _AUTHORIZATION.fullmatch(authorization.strip())
        access_key, *scope = parts[1].rsplit("/", 4) if parts else ("",)
        if not parts or len(scope) != 4:
            raise _malformed("The authorization header is malformed")
        if request.header("x-amz-content-sha256") is None:
            reason = "Missing required header for this request: x-amz-content-sha256"
            raise Refused(400, "InvalidRequest", reason)
        return cls(
            access_key=access_key,
            scope=(scope[0], scope[1], scope[2], scope[3]),
            timestamp=request.header("x-amz-date") or "",
            expires=None,
            signed_headers=frozenset(parts[2].split(";")),
            signature=parts[3],
        )


def verify(
    request: Received,
    secret_of: Callable[[str], str | None],
    now: datetime,
    region: str | None = None,
) -> None:
    """Return when the request is signed by a known key, in time; nothing is known of its body yet.

    Args:
        request: as received.
        secret_of: the secret of an access key, None for an unknown one.
        now: in UTC.
        region: the bucket's; None takes any.

    Raises:
        Refused: with S3's status and code.

    """
    claim = Claim.of(request)
    _check_time(claim, now)
    _check_scope(claim, region)
    secret = secret_of(claim.access_key)
    if secret is None:
        reason = "The AWS Access Key Id you provided does not exist in our records."
        raise Refused(403, "InvalidAccessKeyId", reason, {"AWSAccessKeyId": claim.access_key})
    _check_signature(request, claim, secret)
    _check_signed_headers(request, claim)


def head_by_signer(
    request: Received, url: str, secret_of: Callable[[str], str | None]
) -> dict[str, str]:
    """Return the headers of a HEAD of `url` that is signed by who has signed `request`."""
    claim = Claim.of(request)
    head = AWSRequest("HEAD", url)
    credentials = Credentials(claim.access_key, secret_of(claim.access_key) or "")
    S3SigV4Auth(credentials, "s3", claim.scope[1]).add_auth(head)
    return dict(head.headers.items())


def _check_time(claim: Claim, now: datetime) -> None:
    try:
        signed_at = datetime.strptime(claim.timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        if claim.expires is None:
            reason = "AWS authentication requires a valid Date or x-amz-date header"
            raise Refused(403, "AccessDenied", reason) from None
        raise _bad_query("X-Amz-Date must be in the ISO8601 Long Format") from None
    if claim.expires is None:
        if abs(now - signed_at) > MAX_SKEW:
            reason = "The difference between the request time and the current time is too large."
            raise Refused(403, "RequestTimeTooSkewed", reason)
        return
    if signed_at - now > MAX_SKEW:
        raise Refused(403, "AccessDenied", "Request is not valid yet")
    expires_at = signed_at + timedelta(seconds=claim.expires)
    if now >= expires_at:
        details = {"Expires": f"{expires_at:%Y-%m-%dT%H:%M:%SZ}"}
        raise Refused(403, "AccessDenied", "Request has expired", details)


def _check_scope(claim: Claim, region: str | None) -> None:
    day, claimed_region, service, terminator = claim.scope
    refuse = _malformed if claim.expires is None else _bad_query
    if day != claim.timestamp[:8] or service != "s3" or terminator != "aws4_request":
        raise refuse("The credential scope must be of the day, of s3, and end in aws4_request")
    if region is not None and claimed_region != region:
        raise refuse(f"the region '{claimed_region}' is wrong; expecting '{region}'")


def _check_signature(request: Received, claim: Claim, secret: str) -> None:
    signer = _Verifier(Credentials(claim.access_key, secret), "s3", claim.scope[1])
    rebuilt = _rebuild(request, claim)
    canonical = signer.canonical_request(rebuilt)
    text = signer.string_to_sign(rebuilt, canonical)
    expected = signer.signature(text, rebuilt)
    if not hmac.compare_digest(expected.encode(), claim.signature.encode("utf-8", "replace")):
        raise Refused(
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided.",
            {"StringToSign": text, "CanonicalRequest": canonical},
        )


def _check_signed_headers(request: Received, claim: Claim) -> None:
    """Refuse headers that change what S3 does and that nobody signed."""
    sent = {name for name, _ in request.headers if name.startswith("x-amz-")} | {"host"}
    if unsigned := sorted(sent - claim.signed_headers):
        reason = "There were headers present in the request which were not signed"
        raise Refused(403, "AccessDenied", reason, {"HeadersNotSigned": ", ".join(unsigned)})


class _Verifier(S3SigV4QueryAuth):
    """botocore's signer, made to sign the headers that the client chose."""

    def headers_to_sign(self, request: AWSRequest) -> HTTPHeaders:
        return request.headers


def _rebuild(request: Received, claim: Claim) -> AWSRequest:
    """Return the request as its signer must have seen it."""
    # S3 decodes the path once and encodes it its own way; whatever the client left unencoded, or
    # encoded without need, does not matter.
    path = quote(unquote_to_bytes(request.path), safe="/~")
    parameters: Any = [(n, v) for n, v in request.parameters() if n != "X-Amz-Signature"]
    rebuilt = AWSRequest(request.method, f"http://host{path}", params=parameters)
    for name, value in _decodable(request.headers):
        if name in claim.signed_headers:
            rebuilt.headers[name] = value
    rebuilt.context["timestamp"] = claim.timestamp
    return rebuilt


def _decodable(headers: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    for name, value in headers:
        # aiohttp hands bytes that are not UTF-8 on as lone surrogates, which cannot be hashed.
        yield name, value.encode("utf-8", "replace").decode()


def _unsupported() -> Refused:
    reason = "The authorization mechanism you have provided is not supported."
    return Refused(400, "InvalidRequest", f"{reason} Please use {ALGORITHM}.")


def _bad_query(message: str) -> Refused:
    return Refused(400, "AuthorizationQueryParametersError", message)


def _malformed(message: str) -> Refused:
    return Refused(400, "AuthorizationHeaderMalformed", message)
