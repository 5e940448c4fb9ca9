"""From an uploaded original to finished variants.

Every step may run twice or late: a run works under a lease, the keys it writes follow from the
media's id and the bytes from the original's, and each change of state hangs on the one before. How
large and good variants are is what admins have set when the run begins; those that are finished
stay as they are.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import quote, unquote_plus

from sqlalchemy import Connection

from fieldgate import deadline, queues, request_id
from fieldgate.db.engine import Database
from fieldgate.errors import Unavailable
from fieldgate.observability import count, logger
from fieldgate.queues import PoisonMessage
from fieldgate.settings import Settings, load
from fieldgate.storage import ObjectMissing, ObjectStorage, ObjectTooLarge
from uploads import store
from uploads.file_rules import MAX_FILE_BYTES, PHOTO_TYPES
from uploads.image_configuration import forms_in_force
from uploads.store import Media

# A file that ended the process so often (by its time-out, or out of memory) will end the next.
MAX_ATTEMPTS = 5
# Of the reserve that `fieldgate.queues` keeps of a function's time.
RELEASE_SECONDS = 3
ACTOR = "system:on_media_uploaded"
VARIANT_NAMES = ("web", "ai")
# A variant never changes under its key, so whoever fetched it may keep it. That includes a CDN; who
# else stands between sees TLS only.
CACHE_CONTROL = "public, max-age=31536000, immutable"

# {folder}/{media id}{extension}, as `store` names originals.
_OBJECT_KEY = re.compile(r"[a-z-]+/[0-9a-f-]{36}\.[a-z0-9]+")


class MediaQueueSettings(Settings):
    """Where the function that processes originals listens."""

    media_queue_url: str


class NotAsAnnounced(Exception):
    """The original is not the file that was announced; `reason` is stored with the media."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def variant_key(object_key: str, name: str) -> str:
    """Say where a variant of the original is published: the same for every run."""
    return f"variants/{object_key.rpartition('.')[0]}/{name}.jpg"


def variant_keys(object_key: str) -> list[str]:
    """Say where every variant of the original is, or would be."""
    return [variant_key(object_key, name) for name in VARIANT_NAMES]


def media_queue_url() -> str:
    """Return where S3 tells of new originals; raises ConfigurationError when nobody has set it."""
    return load(MediaQueueSettings).media_queue_url


def announce(queue_url: str, object_key: str) -> None:
    """Tell of a new original as S3 does, where storage may not; twice does no harm.

    Raises:
        Unavailable: the queue didn't take it.

    """
    created = {
        "eventName": "ObjectCreated:CompleteMultipartUpload",
        "s3": {"object": {"key": quote(object_key)}},
    }
    queues.send(queue_url, json.dumps({"Records": [created]}))


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

    Objects that nobody announced, or that are finished, are left alone. No transaction is open
    while storage works.

    Raises:
        Unavailable: storage or the database is, or another run is at it: come back later.

    """
    if not _OBJECT_KEY.fullmatch(object_key):
        logger().warning("not an object of ours", extra={"object_key": ascii(object_key)})
        return
    media = _transact(
        database, lambda connection: store.claim_for_processing(connection, object_key)
    )
    if media is None:
        _see_why_not(database, originals, published, object_key)
    elif media.processing_attempts > MAX_ATTEMPTS:
        _reject(database, media, "PROCESSING_FAILED")
    else:
        try:
            _process(database, originals, published, media)
        except Exception:
            # Whoever still gets here wasn't ended by the photo, so the attempt doesn't count; and
            # the next need not wait for the lease. Often it is the run's own time that is over:
            # this has to be done all the same.
            with suppress(Unavailable), deadline.within(RELEASE_SECONDS):
                _transact(database, lambda connection: store.release(connection, media))
            raise


def _see_why_not(
    database: Database, originals: ObjectStorage, published: ObjectStorage, object_key: str
) -> None:
    media = database.read(lambda connection: store.find_by_key(connection, object_key))
    logger().info(
        "nothing to process",
        extra={"object_key": object_key, "state": media.state if media else None},
    )
    if media is None:
        withdraw(originals, published, object_key)
        return
    is_photo = media.content_type in PHOTO_TYPES.values()
    if media.state == "processing" or (media.state == "pending" and is_photo):
        # Pending: another run had it when we asked for it, and has just given it back.
        raise Unavailable("Another run is at this media.")


def _process(
    database: Database, originals: ObjectStorage, published: ObjectStorage, media: Media
) -> None:
    from uploads.photo import PhotoRejected, render_variants

    try:
        original = originals.read(media.object_key, max_bytes=MAX_FILE_BYTES)
        digest = _check_against_announcement(media, original)
        variants = render_variants(original, media.content_type, forms_in_force())
    except ObjectMissing:
        _transact(database, lambda connection: store.release(connection, media))
        logger().warning("announced object is not there", extra={"object_key": media.object_key})
        return
    except ObjectTooLarge:
        _reject(database, media, "TOO_LARGE")
        return
    except (PhotoRejected, NotAsAnnounced) as rejection:
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
    _finish(database, originals, published, media, digest, described)


def _check_against_announcement(media: Media, original: bytes) -> str:
    """Return the SHA-256 of the original, in hexadecimal.

    Storage has checked length and digest; one that can't (not all that speak S3 can) is not taken
    at its word.
    """
    digest = hashlib.sha256(original).hexdigest()
    if len(original) != media.size:
        raise NotAsAnnounced("SIZE_MISMATCH")
    if media.sha256 is not None and digest != media.sha256:
        raise NotAsAnnounced("CHECKSUM_MISMATCH")
    return digest


def _finish(
    database: Database,
    originals: ObjectStorage,
    published: ObjectStorage,
    media: Media,
    digest: str,
    variants: dict[str, dict[str, Any]],
) -> None:
    finished = _transact(
        database, lambda connection: store.finish(connection, media, digest, variants)
    )
    if finished:
        logger().info("media ready", extra={"media_id": str(media.id)})
        count("MediaReady")
    else:
        _see_why_not(database, originals, published, media.object_key)


def withdraw(originals: ObjectStorage, published: ObjectStorage, object_key: str) -> None:
    """Remove what storage has of a media that is deleted: sent or published after its row went.

    By a phone that repeated its PUT, by this run, or by one that did not live to finish. (A row is
    committed before anybody can send its object, so there is none that is yet to come.)

    Raises:
        Unavailable: storage is.

    """
    originals.delete([object_key])
    published.delete(variant_keys(object_key))


def _reject(database: Database, media: Media, reason: str) -> None:
    _transact(database, lambda connection: store.reject(connection, media, reason))
    logger().warning("media rejected", extra={"media_id": str(media.id), "reason": reason})
    count("MediaRejected", reason=reason)


def _transact[T](database: Database, work: Callable[[Connection], T]) -> T:
    return database.transact(work, actor=ACTOR, request_id=request_id.current())
