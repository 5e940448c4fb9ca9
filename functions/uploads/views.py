"""What the API shows of a media."""

from datetime import timedelta
from typing import Literal, Self
from uuid import UUID

from fieldgate.http.envelope import ApiModel, UtcTime
from fieldgate.storage import ObjectStorage, PresignedRequest
from uploads.file_rules import Folder
from uploads.store import Media

LINK_LIFETIME = timedelta(minutes=60)

type State = Literal["pending", "processing", "ready", "stored", "rejected"]


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
    """`url` is the picture for people, the `web` variant: a photo's original is never shown."""

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
    def of(cls, media: Media, published: ObjectStorage) -> Self:
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
        return cls(
            id=media.id,
            state=media.state,
            folder=Folder(media.folder),
            filename=media.filename,
            content_type=media.content_type,
            size=media.size,
            sha256=media.sha256,
            variants=variants,
            url=variants.web.url if variants.web else None,
            rejected_reason=media.rejected_reason,
            created_at=media.created_at,
        )


class PresignedUpload(ApiModel):
    """The request to make: exactly this method, URL and headers, before `expires_at`."""

    media_id: UUID
    method: str
    url: str
    headers: dict[str, str]
    expires_at: UtcTime

    @classmethod
    def of(cls, media: Media, presigned: PresignedRequest) -> Self:
        return cls(
            media_id=media.id,
            method=presigned.method,
            url=presigned.url,
            headers=presigned.headers,
            expires_at=presigned.expires_at,
        )
