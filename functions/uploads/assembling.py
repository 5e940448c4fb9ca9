"""From the chunks of an upload to the one file that they are.

A run may end at any moment and be repeated: it works under a lease, what it makes says whose it
is, nothing is made before all of it was looked at, and only one can make it. What a run finds made
it takes as it is, so that however many there were, there is one file, and its row tells its digest.
"""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO
from uuid import UUID

from sqlalchemy import Connection

from fieldgate import deadline, request_id
from fieldgate.db.engine import Database
from fieldgate.errors import Unavailable
from fieldgate.observability import count, logger
from fieldgate.queues import PoisonMessage
from fieldgate.storage import (
    ObjectExists,
    ObjectMissing,
    ObjectStorage,
    ObjectTooLarge,
    PartsGone,
    StorageError,
)
from uploads import assembly_store, staged_chunks, upload_store
from uploads.assembly_store import Claim
from uploads.content_refused import ContentRefused
from uploads.documents import check_content
from uploads.file_rules import PHOTO_TYPES
from uploads.processing import withdraw
from uploads.upload_store import Upload

# A file that ended the process so often (by its time-out, or out of memory) will end the next.
MAX_ATTEMPTS = 5
# Of the reserve that `fieldgate.queues` keeps of a function's time.
RELEASE_SECONDS = 3
ACTOR = "system:assemble_upload"
# A file up to this size is one PUT. S3 takes no part below 5 MiB; this makes few of 50 MiB.
PART_BYTES = 8 * 1024**2
# People's papers: whoever shows one is not to keep it for the next to find.
CACHE_CONTROL = "private, no-store"


@dataclass(frozen=True)
class Places:
    """Where files come from and go to; `announce` has the original at a key processed."""

    database: Database
    staging: ObjectStorage
    originals: ObjectStorage
    published: ObjectStorage
    announce: Callable[[str], None]


class ChunksNeeded(Exception):
    """Chunks are missing or not what they should be; `received` of them are good."""

    def __init__(self, received: int) -> None:
        super().__init__(received)
        self.received = received


class OtherFile(Exception):
    """The chunks are whole, and yet not those of the file that was announced."""


def assemble(places: Places, message: str) -> None:
    """Bring the upload whose id a message holds from `assembling` to what comes of it.

    `completed`; back to `uploading` when chunks are needed; or `failed`. Any other upload is left
    alone, but for what a run that did not live to finish, or came too late, has left behind. No
    transaction is open while storage works.

    Raises:
        PoisonMessage: that is no id.
        Unavailable: storage, queue or database is, or another run is at it: come back later.

    """
    try:
        upload_id = UUID(message)
    except ValueError:
        raise PoisonMessage("not the id of an upload") from None
    claimed = _transact(places, lambda connection: assembly_store.claim(connection, upload_id))
    if claimed is None:
        _see_why_not(places, upload_id)
    elif claimed.upload.assembly_attempts > MAX_ATTEMPTS:
        _fail(places, claimed, "ASSEMBLY_FAILED")
    else:
        try:
            _assemble(places, claimed)
        except Exception:
            # Whoever still gets here wasn't ended by the file, so the attempt doesn't count; and
            # the next need not wait for the lease. Often it is the run's own time that is over:
            # this has to be done all the same.
            with suppress(Unavailable), deadline.within(RELEASE_SECONDS):
                _transact(places, lambda connection: assembly_store.release(connection, claimed))
            raise


def _see_why_not(places: Places, upload_id: UUID) -> None:
    upload = places.database.read(
        lambda connection: upload_store.find(connection, upload_id, owner_id=None)
    )
    state = upload.state if upload else None
    logger().info("nothing to assemble", extra={"upload_id": str(upload_id), "state": state})
    if upload is None:
        return
    if state == "assembling":
        raise Unavailable("Another run is at this upload.")
    if state == "completed":
        _tidy_up(places, upload)
    if state == "aborted":
        # The run that made it may have found out too late, or not have lived to.
        withdraw(places.originals, places.published, upload.object_key)
        staged_chunks.discard(places.staging, upload.id)


def _assemble(places: Places, claimed: Claim) -> None:
    upload = claimed.upload
    try:
        sha256 = _made(places, upload) or _make(places, claimed)
    except ChunksNeeded as needed:
        done = _reopen(places, claimed, needed.received)
    except OtherFile:
        done = _fail(places, claimed, "CHECKSUM_MISMATCH")
    except ContentRefused as refusal:
        done = _refuse(places, claimed, refusal.reason)
    else:
        done = _finish(places, claimed, sha256)
    if not done:
        _see_why_not(places, upload.id)


def _made(places: Places, upload: Upload) -> str | None:
    """Return the SHA-256 of the file, in hexadecimal, if this or another run has made it."""
    made = places.originals.head(upload.object_key)
    if made is None:
        return None
    if made.metadata.get("upload-id") != str(upload.id) or made.size != upload.size:
        raise StorageError(f"{upload.object_key}: there is another object")
    return made.metadata["sha256"]


def _make(places: Places, claimed: Claim) -> str:
    """Make the file out of its chunks; return the SHA-256 of what is there then."""
    upload = claimed.upload
    # On disk, so that memory doesn't grow with the file, and nameless, so that nothing stays.
    with TemporaryFile() as file:
        sha256 = _join(places.staging, upload, file)
        if upload.sha256 not in {None, sha256}:
            raise OtherFile
        check_content(file, upload.content_type)
        file.seek(0)
        metadata = {"upload-id": str(upload.id), "sha256": sha256}
        # Whether our call or another's made it, and what it came to when the answer was lost, is
        # all told by the object.
        with suppress(ObjectExists, PartsGone):
            if upload.size <= PART_BYTES:
                places.originals.put(
                    upload.object_key,
                    file.read(),
                    content_type=upload.content_type,
                    cache_control=CACHE_CONTROL,
                    metadata=metadata,
                    only_new=True,
                )
            else:
                _put_in_parts(places, claimed, file, metadata)
    made = _made(places, upload)
    if made is None:
        raise Unavailable("Another run has given our parts up.")
    return made


def _join(staging: ObjectStorage, upload: Upload, file: IO[bytes]) -> str:
    """Write the chunks one after the other; return the SHA-256 of them all, in hexadecimal."""
    chunks = staged_chunks.received(staging, upload)
    if staged_chunks.missing(upload, chunks):
        raise ChunksNeeded(len(chunks))
    whole = hashlib.sha256()
    bad = []
    for number, chunk in sorted(chunks.items()):
        content = _read(staging, chunk.key, upload.chunk_length(number))
        if content is None:
            bad.append(chunk.key)
            continue
        whole.update(content)
        file.write(content)
    if bad:
        # Before anybody is told to send them again: what is sent then is not to be removed.
        staging.delete(bad)
        raise ChunksNeeded(len(chunks) - len(bad))
    return whole.hexdigest()


def _read(staging: ObjectStorage, key: str, length: int) -> bytes | None:
    """Return a chunk's bytes, None when they are not those that its key names."""
    try:
        content = staging.read(key, max_bytes=length)
    except (ObjectMissing, ObjectTooLarge):
        return None
    digest = hashlib.sha256(content).hexdigest()
    return content if (len(content), digest) == (length, staged_chunks.digest_in(key)) else None


def _put_in_parts(
    places: Places, claimed: Claim, file: IO[bytes], metadata: dict[str, str]
) -> None:
    key, originals = claimed.upload.object_key, places.originals
    if claimed.upload.multipart_id is not None:
        originals.abort_parts(key, claimed.upload.multipart_id)
    multipart_id = originals.begin_parts(
        key,
        content_type=claimed.upload.content_type,
        cache_control=CACHE_CONTROL,
        metadata=metadata,
    )
    ours = _transact(
        places,
        lambda connection: assembly_store.record_parts(connection, claimed, multipart_id),
    )
    if not ours:
        originals.abort_parts(key, multipart_id)
        raise Unavailable("Another run has taken over.")
    try:
        etags = [
            originals.put_part(key, multipart_id, number, part)
            for number, part in enumerate(iter(lambda: file.read(PART_BYTES), b""), start=1)
        ]
        originals.complete_parts(key, multipart_id, etags, only_new=True)
    except (ObjectExists, PartsGone):
        originals.abort_parts(key, multipart_id)
        raise


def _finish(places: Places, claimed: Claim, sha256: str) -> bool:
    finished = _transact(
        places, lambda connection: assembly_store.finish(connection, claimed, sha256)
    )
    if finished:
        logger().info("upload completed", extra=_described(claimed.upload))
        count("UploadCompleted")
        _tidy_up(places, claimed.upload)
    return finished


def _tidy_up(places: Places, upload: Upload) -> None:
    """Do what is left when a file is complete; more than once does no harm."""
    if upload.content_type in PHOTO_TYPES.values():
        # Storage may have told of it already, or not tell at all.
        places.announce(upload.object_key)
    staged_chunks.discard(places.staging, upload.id)


def _reopen(places: Places, claimed: Claim, received: int) -> bool:
    state = _transact(
        places, lambda connection: assembly_store.reopen(connection, claimed, received)
    )
    details = {"received": received, "state": state}
    logger().warning("chunks needed", extra=_described(claimed.upload) | details)
    count("UploadReopened")
    if state == "failed":
        count("UploadFailed")
        count("UploadFailed", reason=upload_store.TOO_MANY_FAILURES)
    return state is not None


def _fail(places: Places, claimed: Claim, reason: str) -> bool:
    failed = _transact(places, lambda connection: assembly_store.fail(connection, claimed, reason))
    logger().warning("upload failed", extra=_described(claimed.upload) | {"reason": reason})
    count("UploadFailed")
    count("UploadFailed", reason=reason)
    return failed


def _refuse(places: Places, claimed: Claim, reason: str) -> bool:
    refused = _transact(
        places, lambda connection: assembly_store.refuse(connection, claimed, reason)
    )
    logger().warning("upload refused", extra=_described(claimed.upload) | {"reason": reason})
    count("UploadRefused")
    count("UploadRefused", reason=reason)
    if refused:
        # What is signed may still bring more, which the clean-up removes.
        staged_chunks.discard(places.staging, claimed.upload.id)
    return refused


def _described(upload: Upload) -> dict[str, object]:
    return {"upload_id": str(upload.id), "media_id": str(upload.media_id)}


def _transact[T](places: Places, work: Callable[[Connection], T]) -> T:
    return places.database.transact(work, actor=ACTOR, request_id=request_id.current())
