"""boto3's S3 client as this system wants it: gives up soon, and works with Spaces as with AWS."""

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from fieldgate.sigv4 import Credentials
from fieldgate.storage.settings import Place

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Twice four seconds and a pause: a caller hears within 10 s that storage hangs.
CONNECT_TIMEOUT_SECONDS = 1
READ_TIMEOUT_SECONDS = 3
ATTEMPTS = 2


def build_client(place: Place, credentials: Credentials | None) -> "S3Client":
    """Return a client for the bucket at `place`; without credentials, with those of the role."""
    import boto3
    from botocore.config import Config

    client = boto3.client(
        "s3",
        region_name=place.region,
        endpoint_url=place.endpoint or None,
        aws_access_key_id=credentials.access_key if credentials else None,
        aws_secret_access_key=credentials.secret_key if credentials else None,
        aws_session_token=(credentials.token or None) if credentials else None,
        config=Config(
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            read_timeout=READ_TIMEOUT_SECONDS,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            s3={"addressing_style": "path" if place.path_style else "virtual"},
            # Spaces refuses the checksums that newer SDKs add on their own.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
    client.meta.events.register("before-sign.s3.DeleteObjects", _send_content_md5)
    return client


def content_md5(body: bytes) -> str:
    """Return what the header Content-MD5 says of `body`."""
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


def _send_content_md5(request: Any, **_: Any) -> None:
    """Give DeleteObjects the Content-MD5 that Spaces insists on and AWS takes as well.

    botocore sends a CRC32 instead since 1.36, which S3-compatible storage answers with
    MissingContentMD5 (github.com/aws/aws-sdk-js-v3/issues/6920 tells the same story).
    """
    for name in [name for name in request.headers if name.lower().startswith("x-amz-checksum-")]:
        del request.headers[name]
    del request.headers["x-amz-sdk-checksum-algorithm"]
    request.headers["Content-MD5"] = content_md5(request.body)
