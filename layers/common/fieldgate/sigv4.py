"""AWS Signature Version 4, in a URL or in headers, from the standard library alone.

Importing botocore's signer costs a cold start about 150 ms, this module about 1 ms; the tests hold
the two to the same result, byte for byte.
(docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html)
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from urllib.parse import quote

MAX_EXPIRY = timedelta(days=7)
ALGORITHM = "AWS4-HMAC-SHA256"
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


@dataclass(frozen=True)
class Credentials:
    """An access key; `token` is the session token of temporary ones, else empty."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(default="", repr=False)


@dataclass(frozen=True)
class Target:
    """What is requested: `origin` is scheme and host, `path` starts with /; nothing is encoded.

    All of `headers` are signed, and the host.
    """

    method: str
    origin: str
    path: str
    region: str
    headers: Mapping[str, str]
    query: Mapping[str, str]


def presign(
    target: Target, credentials: Credentials, *, now: datetime, expires_in: timedelta
) -> str:
    """Return the URL that allows this very request to S3 from `now` (UTC) on.

    Raises:
        ValueError: `expires_in` is not within 1 second and 7 days.

    """
    if not timedelta(seconds=1) <= expires_in <= MAX_EXPIRY:
        raise ValueError(f"a presigned URL lives 1 second to 7 days, not {expires_in}")
    signed = {name.lower(): value for name, value in target.headers.items()}
    signed["host"] = target.origin.partition("://")[2]
    names = ";".join(sorted(signed))
    timestamp = _timestamp(now)
    scope = _scope(timestamp, target.region, "s3")
    parameters = {
        **target.query,
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": f"{credentials.access_key}/{scope}",
        "X-Amz-Date": timestamp,
        "X-Amz-Expires": str(int(expires_in.total_seconds())),
        "X-Amz-SignedHeaders": names,
    }
    if credentials.token:
        parameters["X-Amz-Security-Token"] = credentials.token
    path = quote(target.path, safe="/~")
    pairs = [f"{quote(name, safe='')}={quote(text, safe='')}" for name, text in parameters.items()]
    request = "\n".join(
        [
            target.method,
            path,
            "&".join(sorted(pairs)),
            *(f"{name}:{' '.join(signed[name].split())}" for name in sorted(signed)),
            "",
            names,
            "UNSIGNED-PAYLOAD",
        ]
    )
    key = _signing_key(credentials.secret_key, timestamp[:8], target.region, "s3")
    signature = _signature(key, timestamp, scope, request)
    return f"{target.origin}{path}?{'&'.join(pairs)}&X-Amz-Signature={signature}"


def signed_headers(
    method: str,
    url: str,
    body: bytes,
    *,
    service: str,
    region: str,
    credentials: Credentials,
    now: datetime,
) -> dict[str, str]:
    """Return the headers to send with this very request, made at `now` (UTC), besides `Host`.

    For services other than S3. `url` is what is sent, percent-encoded, and has no query.
    """
    host, path = _place(url)
    timestamp = _timestamp(now)
    scope = _scope(timestamp, region, service)
    names = "host;x-amz-date"
    signed = f"host:{host}\nx-amz-date:{timestamp}\n"
    headers = {"X-Amz-Date": timestamp}
    if credentials.token:
        names += ";x-amz-security-token"
        signed += f"x-amz-security-token:{credentials.token}\n"
        headers["X-Amz-Security-Token"] = credentials.token
    digest = hashlib.sha256(body).hexdigest()
    # Encoded as it is, the path is encoded once more: only S3 signs it as it is sent.
    request = f"{method}\n{quote(path, safe='/~')}\n\n{signed}\n{names}\n{digest}"
    key = _signing_key(credentials.secret_key, timestamp[:8], region, service)
    signature = _signature(key, timestamp, scope, request)
    headers["Authorization"] = (
        f"{ALGORITHM} Credential={credentials.access_key}/{scope},"
        f" SignedHeaders={names}, Signature={signature}"
    )
    return headers


def _place(url: str) -> tuple[str, str]:
    """Return the host as clients name it, and the path."""
    scheme, _, rest = url.partition("://")
    address, _, path = rest.partition("/")
    host = address.rpartition("@")[2].lower().removesuffix(_DEFAULT_PORTS.get(scheme, ":"))
    return host, f"/{path}"


def _timestamp(now: datetime) -> str:
    return now.strftime("%Y%m%dT%H%M%SZ")


def _scope(timestamp: str, region: str, service: str) -> str:
    return f"{timestamp[:8]}/{region}/{service}/aws4_request"


def _signature(key: bytes, timestamp: str, scope: str, request: str) -> str:
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = f"{ALGORITHM}\n{timestamp}\n{scope}\n{digest}"
    return hmac.digest(key, text.encode(), "sha256").hex()


@lru_cache(maxsize=4)
def _signing_key(secret_key: str, day: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret_key}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
