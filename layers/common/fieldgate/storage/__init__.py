"""Object storage behind a small Protocol: AWS S3, DigitalOcean Spaces, or whatever speaks S3.

`originals()` is where phones upload to, always private; `staging()` is where the chunks of larger
files wait to be put together; `published()` is where finished variants are served from. Importing
this module, signing a URL included, does not import boto3.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Protocol

from fieldgate.settings import load

if TYPE_CHECKING:
    from fieldgate.storage.settings import StorageSettings


class StorageError(Exception):
    """Storage refuses for good: a bug or a misconfiguration, so not for the caller's eyes.

    What passes by itself (throttling, 5xx, timeouts) is raised as `fieldgate.errors.Unavailable`.
    """


class ObjectMissing(StorageError):
    """There is no object of that key."""


class ObjectTooLarge(StorageError):
    """The object is larger than the reader is willing to hold in memory."""


class ObjectExists(StorageError):
    """There is an object of that key already, and only a new one was wanted."""


class PartsGone(StorageError):
    """The parts were put together or given up meanwhile."""


@dataclass(frozen=True)
class PresignedRequest:
    """A request that whoever holds it may send to storage until `expires_at` (UTC), exactly so.

    `headers` are part of the signature: another value, or one missing, and storage refuses.
    """

    method: str
    url: str
    headers: dict[str, str]
    expires_at: datetime


@dataclass(frozen=True)
class ObjectHead:
    """What storage knows of an object without reading it; `etag` comes without its quotes."""

    size: int
    content_type: str
    etag: str
    modified_at: datetime
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class ListedObject:
    """An object as a listing shows it; `size` in bytes."""

    key: str
    size: int
    modified_at: datetime


@dataclass(frozen=True)
class UnfinishedParts:
    """An object that somebody began to write in parts and has not finished."""

    key: str
    multipart_id: str
    began_at: datetime


class ObjectStorage(Protocol):
    """One bucket. Keys are made by the server: relative paths without `.` and `..` segments.

    Every method may raise ValueError for a key or an argument that no storage can take; those that
    call storage raise Unavailable when trying again may help, StorageError when it won't.
    """

    def presign_put(
        self,
        key: str,
        *,
        content_type: str,
        content_length: int,
        sha256: bytes | None = None,
        expires_in: timedelta,
    ) -> PresignedRequest:
        """Sign an upload of exactly `content_length` bytes, and of these very bytes by `sha256`.

        Args:
            key: where the object will be.
            content_type: the one type storage takes and remembers.
            content_length: in bytes; no other length is taken.
            sha256: the 32 bytes of the digest, when the uploader knows it beforehand.
            expires_in: whole seconds, up to 7 days; temporary credentials may end it sooner.

        """
        ...

    def presign_get(
        self, key: str, *, expires_in: timedelta, download_as: str | None = None
    ) -> str:
        """Sign a download; `download_as` makes browsers save it by that name, not show it."""
        ...

    def url_for(self, key: str, *, expires_in: timedelta) -> str:
        """Return where to read the object: CDN, public address, else a presigned download."""
        ...

    def head(self, key: str) -> ObjectHead | None:
        """Return what is known of the object, None when there is none.

        AWS answers 403 instead of 404 to a role without `s3:ListBucket` on the bucket, which is
        then a StorageError: grant it.
        """
        ...

    def read(self, key: str, *, max_bytes: int) -> bytes:
        """Return the object's bytes.

        Raises:
            ObjectMissing: there is none.
            ObjectTooLarge: it is larger than `max_bytes`; no more than that was downloaded.

        """
        ...

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
        """Store `body`, whole or not at all, over what was there; `metadata` is ASCII.

        Raises:
            ObjectExists: `only_new`, and there is one, which may be this very call's, the answer
                lost and sent again. Storage without conditional writes
                (`STORAGE_CONDITIONAL_WRITES=false`) writes over it instead.

        """
        ...

    def begin_parts(
        self, key: str, *, content_type: str, cache_control: str, metadata: Mapping[str, str]
    ) -> str:
        """Begin an object that is written in parts; return the id of this attempt at it."""
        ...

    def put_part(self, key: str, multipart_id: str, number: int, body: bytes) -> str:
        """Store part `number`, from 1, of at least 5 MiB unless it is the last; return its ETag.

        Raises:
            PartsGone: the attempt was finished or given up.

        """
        ...

    def complete_parts(
        self, key: str, multipart_id: str, etags: Sequence[str], *, only_new: bool = False
    ) -> None:
        """Make the object from parts 1 to n. Look with `head` what came of it.

        Raises:
            ObjectExists: as `put`; the parts are still there.
            PartsGone: the attempt was finished (by this very call, the answer lost) or given up.

        """
        ...

    def abort_parts(self, key: str, multipart_id: str) -> None:
        """Give the attempt up and its parts away; one that is over is fine."""
        ...

    def unfinished_parts(self) -> Iterator[UnfinishedParts]:
        """List the attempts that are neither finished nor given up, a page a call."""
        ...

    def list(self, prefix: str) -> Iterator[ListedObject]:
        """List the objects whose keys begin with `prefix`, in order of key, 1,000 a call."""
        ...

    def list_folders(self, prefix: str) -> Iterator[str]:
        """List what stands between `prefix`, which ends in a slash, and the next slash, once each.

        1,000 a call, however many objects there are.
        """
        ...

    def delete(self, keys: Iterable[str]) -> None:
        """Remove the objects; those already gone are fine, those that stay raise."""
        ...


def originals() -> ObjectStorage:
    """Return the bucket phones upload to: never public, never behind the CDN (GPS data)."""
    from fieldgate.storage.settings import StorageSettings

    settings = load(StorageSettings)
    return _private(settings, settings.bucket)


def staging() -> ObjectStorage:
    """Return the bucket that chunks wait in: private, and nothing in it is for long."""
    from fieldgate.storage.settings import StorageSettings

    settings = load(StorageSettings)
    return _private(settings, settings.staging_bucket or settings.bucket)


def published() -> ObjectStorage:
    """Return the bucket of finished variants: CDN and public read as configured."""
    from fieldgate.storage.settings import StorageSettings

    return _published(load(StorageSettings))


# Cached by settings, not by call, so that settings.forget() reaches them too.
@cache
def _private(settings: "StorageSettings", bucket: str) -> ObjectStorage:
    from fieldgate.storage.s3 import S3Storage

    return S3Storage(
        settings.place(bucket),
        settings.credentials(),
        conditional_writes=settings.has_conditional_writes,
    )


@cache
def _published(settings: "StorageSettings") -> ObjectStorage:
    from fieldgate.storage.s3 import S3Storage

    return S3Storage(
        settings.place(settings.media_bucket or settings.bucket),
        settings.credentials(),
        cdn_base_url=settings.cdn_base_url,
        public_read=settings.public_read,
        conditional_writes=settings.has_conditional_writes,
    )
