"""The one adapter to S3-compatible storage.

URLs are signed here without boto3; its client is built at the first call that really goes out.
"""

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import batched
from typing import TYPE_CHECKING
from urllib.parse import quote

from fieldgate.credentials import role_credentials
from fieldgate.sigv4 import Credentials, Target, presign
from fieldgate.storage import (
    ListedObject,
    ObjectHead,
    ObjectMissing,
    ObjectTooLarge,
    PartsGone,
    PresignedRequest,
    UnfinishedParts,
)
from fieldgate.storage.botocore_errors import storage_fault, translated
from fieldgate.storage.keys import check_key, checked
from fieldgate.storage.s3_client import build_client, content_md5
from fieldgate.storage.settings import Place

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import (
        CompleteMultipartUploadRequestTypeDef,
        CreateMultipartUploadRequestTypeDef,
        ListObjectsV2OutputTypeDef,
        PutObjectRequestTypeDef,
    )

KEYS_PER_DELETE = 1000
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
        conditional_writes: bool = True,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._place = place
        self._credentials = credentials
        self._cdn_base_url = cdn_base_url
        self._public_read = public_read
        self._conditional_writes = conditional_writes
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
        check_key(key)
        if self._cdn_base_url:
            return f"{self._cdn_base_url}/{quote(key)}"
        if self._public_read:
            origin, path = self._address(key)
            return f"{origin}{quote(path)}"
        return self.presign_get(key, expires_in=expires_in)

    def head(self, key: str) -> ObjectHead | None:
        check_key(key)
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
        check_key(key)
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
        only_new: bool = False,
    ) -> None:
        check_key(key)
        request: PutObjectRequestTypeDef = {
            "Bucket": self._place.bucket,
            "Key": key,
            "Body": body,
            "CacheControl": cache_control,
            "ContentMD5": content_md5(body),
            "ContentType": content_type,
            "Metadata": metadata or {},
        }
        if self._public_read:
            # Buckets with ACLs disabled, as AWS makes them, refuse the header whatever it says.
            request["ACL"] = "public-read"
        if only_new and self._conditional_writes:
            request["IfNoneMatch"] = "*"
        with translated(f"PUT {key}"):
            self._client.put_object(**request)

    def begin_parts(
        self, key: str, *, content_type: str, cache_control: str, metadata: Mapping[str, str]
    ) -> str:
        check_key(key)
        request: CreateMultipartUploadRequestTypeDef = {
            "Bucket": self._place.bucket,
            "Key": key,
            "CacheControl": cache_control,
            "ContentType": content_type,
            "Metadata": metadata,
        }
        if self._public_read:
            request["ACL"] = "public-read"
        with translated(f"begin parts of {key}"):
            return self._client.create_multipart_upload(**request)["UploadId"]

    def put_part(self, key: str, multipart_id: str, number: int, body: bytes) -> str:
        check_key(key)
        with translated(f"PUT part {number} of {key}"):
            answer = self._client.upload_part(
                Bucket=self._place.bucket,
                Key=key,
                UploadId=multipart_id,
                PartNumber=number,
                Body=body,
                ContentMD5=content_md5(body),
            )
        return answer["ETag"]

    def complete_parts(
        self, key: str, multipart_id: str, etags: Sequence[str], *, only_new: bool = False
    ) -> None:
        check_key(key)
        request: CompleteMultipartUploadRequestTypeDef = {
            "Bucket": self._place.bucket,
            "Key": key,
            "UploadId": multipart_id,
            "MultipartUpload": {
                "Parts": [
                    {"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)
                ]
            },
        }
        if only_new and self._conditional_writes:
            request["IfNoneMatch"] = "*"
        # S3 may begin to answer 200 and find an error only then: botocore reads on and raises it.
        with translated(f"complete parts of {key}"):
            self._client.complete_multipart_upload(**request)

    def abort_parts(self, key: str, multipart_id: str) -> None:
        check_key(key)
        with suppress(PartsGone), translated(f"abort parts of {key}"):
            self._client.abort_multipart_upload(
                Bucket=self._place.bucket, Key=key, UploadId=multipart_id
            )

    def unfinished_parts(self) -> Iterator[UnfinishedParts]:
        after: dict[str, str] = {}
        while True:
            with translated("list unfinished parts"):
                page = self._client.list_multipart_uploads(
                    Bucket=self._place.bucket,
                    **after,  # type: ignore[arg-type]
                )
            for found in page.get("Uploads", []):
                yield UnfinishedParts(found["Key"], found["UploadId"], found["Initiated"])
            if not page.get("IsTruncated"):
                return
            after = {
                "KeyMarker": page["NextKeyMarker"],
                "UploadIdMarker": page["NextUploadIdMarker"],
            }

    def list(self, prefix: str) -> Iterator[ListedObject]:
        for page in self._pages(prefix):
            for found in page.get("Contents", []):
                yield ListedObject(found["Key"], found["Size"], found["LastModified"])

    def list_folders(self, prefix: str) -> Iterator[str]:
        if not prefix.endswith("/"):
            raise ValueError(f"no folder: {prefix!r}")
        for page in self._pages(prefix, Delimiter="/"):
            for found in page.get("CommonPrefixes", []):
                yield found["Prefix"].removeprefix(prefix).removesuffix("/")

    def _pages(self, prefix: str, **request: str) -> "Iterator[ListObjectsV2OutputTypeDef]":
        while True:
            with translated(f"LIST {prefix}"):
                page = self._client.list_objects_v2(
                    Bucket=self._place.bucket,
                    Prefix=prefix,
                    **request,  # type: ignore[arg-type]
                )
            yield page
            if not page.get("IsTruncated"):
                return
            request["ContinuationToken"] = page["NextContinuationToken"]

    def delete(self, keys: Iterable[str]) -> None:
        for batch in batched(map(checked, keys), KEYS_PER_DELETE, strict=False):
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
        check_key(key)
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
        return build_client(self._place, self._credentials)
