"""What the API shows of a media, and of an upload that is to fill one."""

from datetime import datetime, timedelta
from typing import Literal, Self
from uuid import UUID

from fieldgate.http.envelope import ApiModel, UtcTime
from fieldgate.storage import ObjectStorage, PresignedRequest
from uploads.file_rules import Folder
from uploads.store import Media
from uploads.upload_store import MAX_CONSECUTIVE_FAILURES, Upload

LINK_LIFETIME = timedelta(minutes=60)

type State = Literal["pending", "processing", "ready", "stored", "rejected"]
type UploadState = Literal[
    "created", "uploading", "assembling", "completed", "failed", "aborted", "expired"
]


class VariantView(ApiModel):
    """One finished picture; sizes in pixels and bytes."""

    url: str
    width: int
    height: int
    bytes: int


class Variants(ApiModel):
    """Null until the media is `ready`."""

    web: VariantView | None = None
    ai: VariantView | None = None


class MediaView(ApiModel):
    """`url` is the picture for people, the `web` variant: a photo's original is never shown.

    Of a document it is the original: to be saved under its name, not to be opened by a browser.
    """

    id: UUID
    state: State
    folder: Folder
    filename: str
    content_type: str
    size: int
    sha256: str | None
    variants: Variants
    url: str | None
    rejected_reason: str | None
    created_at: UtcTime

    @classmethod
    def of(cls, media: Media, originals: ObjectStorage, published: ObjectStorage) -> Self:
        views = {
            name: VariantView(
                url=published.url_for(variant["key"], expires_in=LINK_LIFETIME),
                width=variant["width"],
                height=variant["height"],
                bytes=variant["bytes"],
            )
            for name, variant in media.variants.items()
        }
        variants = Variants(**views)
        url = variants.web.url if variants.web else None
        if media.state == "stored":
            url = originals.presign_get(
                media.object_key, expires_in=LINK_LIFETIME, download_as=media.filename
            )
        return cls(
            id=media.id,
            state=media.state,
            folder=Folder(media.folder),
            filename=media.filename,
            content_type=media.content_type,
            size=media.size,
            sha256=media.sha256,
            variants=variants,
            url=url,
            rejected_reason=media.rejected_reason,
            created_at=media.created_at,
        )


class SignedRequest(ApiModel):
    """The request to make: exactly this method, URL and headers, before `expires_at`."""

    method: str
    url: str
    headers: dict[str, str]
    expires_at: UtcTime


class PresignedUpload(SignedRequest):
    media_id: UUID

    @classmethod
    def of(cls, media: Media, presigned: PresignedRequest) -> Self:
        return cls(media_id=media.id, **vars(presigned))


class Backoff(ApiModel):
    """How long to rest before the next try: `initialSeconds`, each time `factor` times as long.

    Jitter "full": any time between none and that.
    """

    initial_seconds: int = 1
    factor: int = 2
    max_seconds: int = 30
    jitter: Literal["full"] = "full"


class Policy(ApiModel):
    """How a phone is to go about it."""

    part_timeout_seconds: int = 60
    max_retries: int = 3
    max_consecutive_failures: int = MAX_CONSECUTIVE_FAILURES
    backoff: Backoff = Backoff()


class NewUpload(ApiModel):
    upload_id: UUID
    media_id: UUID
    chunk_size: int
    chunk_count: int
    expires_at: UtcTime
    policy: Policy = Policy()

    @classmethod
    def of(cls, upload: Upload) -> Self:
        return cls(
            upload_id=upload.id,
            media_id=upload.media_id,
            chunk_size=upload.chunk_size,
            chunk_count=upload.chunk_count,
            expires_at=upload.expires_at,
        )


class SignedChunk(SignedRequest):
    number: int

    @classmethod
    def of(cls, number: int, presigned: PresignedRequest) -> Self:
        return cls(number=number, **vars(presigned))


class SignedChunks(ApiModel):
    urls: list[SignedChunk]


class UploadView(ApiModel):
    """`received` and `missing` are numbers of chunks, in order; together they are all."""

    upload_id: UUID
    media_id: UUID
    state: UploadState
    size: int
    chunk_size: int
    chunk_count: int
    received: list[int]
    missing: list[int]
    consecutive_failures: int
    failure_reason: str | None
    expires_at: UtcTime

    @classmethod
    def of(cls, upload: Upload, missing: list[int], now: datetime) -> Self:
        away = set(missing)
        everything = range(1, upload.chunk_count + 1)
        return cls(
            upload_id=upload.id,
            media_id=upload.media_id,
            state=upload.state_at(now),
            size=upload.size,
            chunk_size=upload.chunk_size,
            chunk_count=upload.chunk_count,
            received=[number for number in everything if number not in away],
            missing=missing,
            consecutive_failures=upload.consecutive_failures,
            failure_reason=upload.failure_reason,
            expires_at=upload.expires_at,
        )


class FailuresView(ApiModel):
    consecutive_failures: int
    state: UploadState


class CompletionView(ApiModel):
    upload_id: UUID
    media_id: UUID
    state: UploadState
