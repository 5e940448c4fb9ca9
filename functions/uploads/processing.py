"""From an uploaded original to finished variants (seed: WF-INTEG-01).

Every step may run twice, at once or late: the object keys written follow from the media's id,
the bytes from the original's bytes, and each change of state is conditional on the one before.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote_plus

from sqlalchemy import Connection

from fieldgate import request_id
from fieldgate.db.engine import Database
from fieldgate.observability import count, logger
from fieldgate.queues import PoisonMessage
from fieldgate.storage import ObjectMissing, ObjectStorage, ObjectTooLarge
from uploads import store
from uploads.file_rules import MAX_PHOTO_BYTES
from uploads.store import Media

ACTOR = "system:on_media_uploaded"
VARIANT_NAMES = ("web", "ai")
# A variant never changes under its key, so whoever fetched it may keep it.
CACHE_CONTROL = "private, max-age=31536000, immutable"

# {folder}/{media id}{extension}, as `store` names originals.
_OBJECT_KEY = re.compile(r"[a-z-]+/[0-9a-f-]{36}\.[a-z0-9]+")


def variant_key(object_key: str, name: str) -> str:
    """Say where a variant of the original is published: the same for every run."""
    return f"variants/{object_key.rpartition('.')[0]}/{name}.jpg"


def variant_keys(object_key: str) -> list[str]:
    """Say where every variant of the original is, or would be."""
    return [variant_key(object_key, name) for name in VARIANT_NAMES]


def uploaded_keys(notification: str) -> Iterator[str]:
    """Read the keys of created objects from the text of an S3 event notification.

    S3's test event has none. Keys arrive URL-encoded.

    Raises:
        PoisonMessage: this is no S3 notification at all.

    """
    try:
        event = json.loads(notification)
        if event.get("Event") == "s3:TestEvent":
            return
        for record in event["Records"]:
            if record["eventName"].startswith("ObjectCreated:"):
                yield unquote_plus(record["s3"]["object"]["key"], errors="strict")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise PoisonMessage("not an S3 event notification") from error


def process_upload(
    database: Database, originals: ObjectStorage, published: ObjectStorage, object_key: str
) -> None:
    """Bring the media whose original is at `object_key` to `ready` or `rejected`.

    Objects that nobody announced, or that are finished or deleted, are left alone. No transaction
    is open while storage works.
    """
    if not _OBJECT_KEY.fullmatch(object_key):
        logger().warning("not an object of ours", extra={"object_key": ascii(object_key)})
        return
    media = _transact(
        database, lambda connection: store.claim_for_processing(connection, object_key)
    )
    if media is None:
        logger().info("nothing to process", extra={"object_key": object_key})
        _withdraw_deleted(database, published, object_key)
        return
    try:
        original = originals.read(object_key, max_bytes=MAX_PHOTO_BYTES)
    except ObjectMissing:
        _transact(database, lambda connection: store.release(connection, media.id))
        logger().warning("announced object is not there", extra={"object_key": object_key})
        return
    except ObjectTooLarge:
        _reject(database, media, "TOO_LARGE")
        return
    _process(database, published, media, original)


def _process(database: Database, published: ObjectStorage, media: Media, original: bytes) -> None:
    from uploads.photo import PhotoRejected, render_variants

    digest = hashlib.sha256(original).hexdigest()
    # Storage has checked both; one that can't (not all that speak S3 can) is not taken at its word.
    if len(original) != media.size:
        _reject(database, media, "SIZE_MISMATCH")
        return
    if media.sha256 is not None and digest != media.sha256:
        _reject(database, media, "CHECKSUM_MISMATCH")
        return
    try:
        variants = render_variants(original, media.content_type)
    except PhotoRejected as rejection:
        _reject(database, media, rejection.reason)
        return
    described = {}
    for name, variant in variants.items():
        key = variant_key(media.object_key, name)
        published.put(
            key, variant.body, content_type=variant.content_type, cache_control=CACHE_CONTROL
        )
        described[name] = {
            "key": key,
            "width": variant.width,
            "height": variant.height,
            "bytes": len(variant.body),
        }
    _finish(database, published, media, digest, described)


def _finish(
    database: Database,
    published: ObjectStorage,
    media: Media,
    digest: str,
    variants: dict[str, dict[str, Any]],
) -> None:
    finished = _transact(
        database, lambda connection: store.finish(connection, media.id, digest, variants)
    )
    if finished:
        logger().info("media ready", extra={"media_id": str(media.id)})
        count("MediaReady")
    else:
        _withdraw_deleted(database, published, media.object_key)


def _withdraw_deleted(database: Database, published: ObjectStorage, object_key: str) -> None:
    """Remove what was published of a media that has been deleted meanwhile.

    By this run, or by an earlier one that did not live to do it. When the media is still there,
    another run of the same event was faster, and these are its variants.
    """
    if not database.read(lambda connection: store.has_original(connection, object_key)):
        published.delete(variant_keys(object_key))


def _reject(database: Database, media: Media, reason: str) -> None:
    _transact(database, lambda connection: store.reject(connection, media.id, reason))
    logger().warning("media rejected", extra={"media_id": str(media.id), "reason": reason})
    count("MediaRejected", reason=reason)


def _transact[T](database: Database, work: Callable[[Connection], T]) -> T:
    return database.transact(work, actor=ACTOR, request_id=request_id.current())
