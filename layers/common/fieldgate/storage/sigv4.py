"""Presigned URLs by AWS Signature Version 4, from the standard library alone.

Importing botocore's signer costs a cold start about 150 ms, this module about 1 ms; the tests hold
the two to the same result, byte for byte.
(docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html)
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from urllib.parse import quote

MAX_EXPIRY = timedelta(days=7)


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
    """Return the URL that allows this very request from `now` (UTC) on.

    Raises:
        ValueError: `expires_in` is not within 1 second and 7 days.

    """
    if not timedelta(seconds=1) <= expires_in <= MAX_EXPIRY:
        raise ValueError(f"a presigned URL lives 1 second to 7 days, not {expires_in}")
    signed = {name.lower(): value for name, value in target.headers.items()}
    signed["host"] = target.origin.partition("://")[2]
    names = ";".join(sorted(signed))
    timestamp = f"{now:%Y%m%dT%H%M%SZ}"
    scope = f"{timestamp[:8]}/{target.region}/s3/aws4_request"
    parameters = {
        **target.query,
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
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
    digest = hashlib.sha256(request.encode()).hexdigest()
    key = _signing_key(credentials.secret_key, timestamp[:8], target.region)
    text = f"AWS4-HMAC-SHA256\n{timestamp}\n{scope}\n{digest}"
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    return f"{target.origin}{path}?{'&'.join(pairs)}&X-Amz-Signature={signature}"


@lru_cache(maxsize=4)
def _signing_key(secret_key: str, day: str, region: str) -> bytes:
    key = f"AWS4{secret_key}".encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
