"""Where chunks wait in storage, and which of an upload are there: storage is asked, not counters.

A chunk's key names its bytes, `staging/{upload id}/{number}-{SHA-256}`, and only these bytes are
signed for it: what has arrived is never written over by anything else, a repeated PUT changes
nothing, and who reads it can tell whether it is what was sent.
"""

import re
from collections.abc import Container
from uuid import UUID

from fieldgate.errors import Unavailable
from fieldgate.observability import logger
from fieldgate.storage import ListedObject, ObjectStorage, StorageError
from uploads.upload_store import Upload

PREFIX = "staging/"
_NAME = re.compile(r"(\d{5})-([0-9a-f]{64})")


def prefix_of(upload_id: UUID) -> str:
    """Say where all chunks of an upload are."""
    return f"{PREFIX}{upload_id}/"


def key_of(upload_id: UUID, number: int, sha256: bytes) -> str:
    """Say where chunk `number`, from 1, of these very bytes is."""
    return f"{prefix_of(upload_id)}{number:05d}-{sha256.hex()}"


def digest_in(key: str) -> str:
    """Return the SHA-256, in hexadecimal, that a chunk's key names."""
    return key.rpartition("-")[2]


def received(staging: ObjectStorage, upload: Upload) -> dict[int, ListedObject]:
    """Return the chunks that have arrived, by number.

    Those of another length than they should have don't count: not all storage refuses them. Of
    two that were sent under one number the later counts: a file that was read wrongly the first
    time is mended by sending its chunk again.

    Raises:
        Unavailable: storage is.

    """
    chunks: dict[int, ListedObject] = {}
    prefix = prefix_of(upload.id)
    for found in staging.list(prefix):
        name = _NAME.fullmatch(found.key.removeprefix(prefix))
        if name is None:
            continue
        number = int(name[1])
        if not 1 <= number <= upload.chunk_count or found.size != upload.chunk_length(number):
            continue
        other = chunks.get(number)
        if other is None or found.modified_at >= other.modified_at:
            chunks[number] = found
    return chunks


def missing(upload: Upload, chunks: Container[int]) -> list[int]:
    """Return the numbers of the chunks that are not there, in order."""
    return [number for number in range(1, upload.chunk_count + 1) if number not in chunks]


def discard_at_once(staging: ObjectStorage, upload_id: UUID) -> None:
    """Remove what has arrived of an upload that was given up, if that can be done at once.

    The clean-up comes after it in any case: URLs that were signed before may still be used.
    """
    try:
        discard(staging, upload_id)
    except (Unavailable, StorageError):
        logger().warning("chunks left for the clean-up", exc_info=True)


def discard(staging: ObjectStorage, upload_id: UUID) -> None:
    """Remove whatever has been staged of an upload; raises as `ObjectStorage.delete`."""
    staging.delete(found.key for found in staging.list(prefix_of(upload_id)))
