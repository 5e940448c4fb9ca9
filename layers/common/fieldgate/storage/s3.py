"""The one adapter to S3-compatible storage.

URLs are signed here without boto3; its client is built at the first call that really goes out.
"""

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import batched
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fieldgate.storage import ObjectHead, ObjectMissing, ObjectTooLarge, PresignedRequest
from fieldgate.storage.botocore_errors import storage_fault, translated
from fieldgate.storage.settings import Place, role_credentials
from fieldgate.storage.sigv4 import Credentials, Target, presign

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import PutObjectRequestTypeDef

# Twice four seconds and a pause: a caller hears within 10 s that storage hangs.
CONNECT_TIMEOUT_SECONDS = 1
READ_TIMEOUT_SECONDS = 3
ATTEMPTS = 2
KEYS_PER_DELETE = 1000
MAX_KEY_BYTES = 1024
SHA256_BYTES = 32


def _utc_now() -> datetime:
    return datetime.now(UTC)


class S3Storage:
    """`ObjectStorage` over S3's API; without `credentials`, those of the function's role."""

    def __init__(
        self,
        place: Place,
        credentials: Credentials | None = None,
        *,
        cdn_base_url: str = "",
        public_read: bool = False,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._place = place
        self._credentials = credentials
        self._cdn_base_url = cdn_base_url
        self._public_read = public_read
        self._clock = clock

    def presign_put(
        self,
        key: str,
        *,
        content_type: str,
        content_length: int,
        sha256: bytes | None = None,
        expires_in: timedelta,
    ) -> PresignedRequest:
        if content_length < 0:
            raise ValueError("content_length is negative")
        headers = {"Content-Type": content_type, "Content-Length": str(content_length)}
        if sha256 is not None:
            if len(sha256) != SHA256_BYTES:
                raise ValueError("sha256 is the digest itself, 32 bytes")
            headers["x-amz-checksum-sha256"] = base64.b64encode(sha256).decode()
        return self._presign("PUT", key, headers=headers, query={}, expires_in=expires_in)

    def presign_get(
        self, key: str, *, expires_in: timedelta, download_as: str | None = None
    ) -> str:
        query = {}
        if download_as is not None:
            name = quote(download_as, safe="")
            query["response-content-disposition"] = f"attachment; filename*=UTF-8''{name}"
        return self._presign("GET", key, headers={}, query=query, expires_in=expires_in).url

    def url_for(self, key: str, *, expires_in: timedelta) -> str:
        _check_key(key)
        if self._cdn_base_url:
            return f"{self._cdn_base_url}/{quote(key)}"
        if self._public_read:
            origin, path = self._address(key)
            return f"{origin}{quote(path)}"
        return self.presign_get(key, expires_in=expires_in)

    def head(self, key: str) -> ObjectHead | None:
        _check_key(key)
        try:
            with translated(f"HEAD {key}"):
                found = self._client.head_object(Bucket=self._place.bucket, Key=key)
        except ObjectMissing:
            return None
        return ObjectHead(
            size=found["ContentLength"],
            content_type=found.get("ContentType", "binary/octet-stream"),
            etag=found["ETag"].strip('"'),
            modified_at=found["LastModified"],
            metadata=found.get("Metadata", {}),
        )

    def read(self, key: str, *, max_bytes: int) -> bytes:
        _check_key(key)
        with translated(f"GET {key}"):
            found = self._client.get_object(Bucket=self._place.bucket, Key=key)
            # As its own context manager the body would be urllib3's, raising urllib3's errors.
            with closing(found["Body"]) as body:
                # Leaving the block closes the connection, so nothing more than this is sent.
                if found["ContentLength"] > max_bytes:
                    raise ObjectTooLarge(f"{key}: {found['ContentLength']} bytes")
                return body.read()

    def put(
        self,
        key: str,
        body: bytes,
        *,
        content_type: str,
        cache_control: str,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        _check_key(key)
        request: PutObjectRequestTypeDef = {
            "Bucket": self._place.bucket,
            "Key": key,
            "Body": body,
            "CacheControl": cache_control,
            "ContentMD5": _md5(body),
            "ContentType": content_type,
            "Metadata": metadata or {},
        }
        if self._public_read:
            # Buckets with ACLs disabled, as AWS makes them, refuse the header whatever it says.
            request["ACL"] = "public-read"
        with translated(f"PUT {key}"):
            self._client.put_object(**request)

    def delete(self, keys: Iterable[str]) -> None:
        for batch in batched(map(_checked, keys), KEYS_PER_DELETE, strict=False):
            what = f"DELETE {len(batch)} objects"
            with translated(what):
                answer = self._client.delete_objects(
                    Bucket=self._place.bucket,
                    Delete={"Objects": [{"Key": key} for key in batch], "Quiet": True},
                )
            for error in answer.get("Errors", []):
                code = error.get("Code", "")
                if not isinstance(fault := storage_fault(what, code), ObjectMissing):
                    raise fault

    def _presign(
        self,
        method: str,
        key: str,
        *,
        headers: dict[str, str],
        query: dict[str, str],
        expires_in: timedelta,
    ) -> PresignedRequest:
        _check_key(key)
        origin, path = self._address(key)
        now = self._clock().replace(microsecond=0)
        url = presign(
            Target(method, origin, path, self._place.region, headers, query),
            self._credentials or role_credentials(),
            now=now,
            expires_in=expires_in,
        )
        return PresignedRequest(method, url, headers, expires_at=now + expires_in)

    def _address(self, key: str) -> tuple[str, str]:
        place = self._place
        endpoint = place.public_endpoint or f"https://s3.{place.region}.amazonaws.com"
        if place.path_style:
            return endpoint, f"/{place.bucket}/{key}"
        return endpoint.replace("://", f"://{place.bucket}.", 1), f"/{key}"

    @cached_property
    def _client(self) -> "S3Client":
        import boto3
        from botocore.config import Config

        place, credentials = self._place, self._credentials
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


def _send_content_md5(request: Any, **_: Any) -> None:
    """Give DeleteObjects the Content-MD5 that Spaces insists on and AWS takes as well.

    botocore sends a CRC32 instead since 1.36, which S3-compatible storage answers with
    MissingContentMD5 (github.com/aws/aws-sdk-js-v3/issues/6920 tells the same story).
    """
    for name in [name for name in request.headers if name.lower().startswith("x-amz-checksum-")]:
        del request.headers[name]
    del request.headers["x-amz-sdk-checksum-algorithm"]
    request.headers["Content-MD5"] = _md5(request.body)


def _md5(body: bytes) -> str:
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


def _checked(key: str) -> str:
    _check_key(key)
    return key


def _check_key(key: str) -> None:
    """Refuse keys that HTTP clients and proxies on the way would change, breaking the signature."""
    well_formed = 0 < len(key.encode()) <= MAX_KEY_BYTES and key.isprintable()
    if not well_formed or {"", ".", ".."} & set(key.split("/")):
        raise ValueError(f"not a storage key: {key!r}")
