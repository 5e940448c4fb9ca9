"""A file on its way in chunks, from the phone's first request to its last.

Its states are drawn in docs/architecture.md. Storage is asked what has arrived, and never while a
transaction is open. All of the functions take `owner_id`, whose upload it must be (None:
anybody's), and raise NotFound when it isn't.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection

from fieldgate import request_id
from fieldgate.db.engine import Database
from fieldgate.errors import (
    Conflict,
    ErrorDetail,
    Unavailable,
    ValidationFailed,
)
from fieldgate.http.idempotency import IdempotentRequest
from fieldgate.observability import count, logger
from fieldgate.storage import ObjectStorage
from uploads import staged_chunks, upload_store
from uploads.assembly_queue import ask_for_assembly
from uploads.file_rules import DeclaredFile, Folder
from uploads.ownership import owner_needed
from uploads.standing import arrived, find, now, view_of, why_not
from uploads.upload_store import Upload
from uploads.views import CompletionView, FailuresView, NewUpload, SignedChunk, UploadView

KIB = 1024
MIN_CHUNK_BYTES = 100 * KIB
MAX_CHUNK_BYTES = 5 * KIB * KIB
DEFAULT_CHUNK_BYTES = 512 * KIB
URL_LIFETIME = timedelta(minutes=60)
CHUNK_TYPE = "application/octet-stream"


@dataclass(frozen=True)
class Chunk:
    """A chunk that is about to be sent: its number, from 1, and the digest of its bytes."""

    number: int
    sha256: bytes


def chunk_size_for(wish: int | None) -> int:
    """Return the bytes of a chunk: what the phone wishes, as far as that goes."""
    if wish is None:
        return DEFAULT_CHUNK_BYTES
    return min(max(wish, MIN_CHUNK_BYTES), MAX_CHUNK_BYTES)


def begin(
    request: IdempotentRequest,
    database: Database,
    owner_id: UUID,
    folder: Folder,
    file: DeclaredFile,
    chunk_size: int,
    sha256: bytes | None,
) -> NewUpload:
    """Add an upload and its pending media, in one statement.

    Repeated with the same key, the answer is the first one, whatever became of the upload.

    Raises:
        Unauthorized: there is no such user (any more).

    """

    def add(connection: Connection) -> NewUpload:
        digest = sha256.hex() if sha256 else None
        return NewUpload.of(
            upload_store.add(connection, owner_id, folder, file, digest, chunk_size)
        )

    with owner_needed():
        return request.transact(database, add, NewUpload, actor=str(owner_id))


def sign(
    database: Database,
    staging: ObjectStorage,
    upload_id: UUID,
    chunks: Sequence[Chunk],
    *,
    actor_id: UUID,
    owner_id: UUID | None,
) -> list[SignedChunk]:
    """Sign, for each of `chunks`, the one request that may bring it.

    The signature binds length and digest, and the key is named by the digest. Signing again what
    was sent before does no harm. One transaction of one statement; storage is asked nothing.

    Raises:
        ValidationFailed: the upload has no chunk of that number.
        Conflict, Gone: it takes no chunks now, or never will again.

    """

    def note(connection: Connection) -> Upload:
        upload = upload_store.sign(connection, upload_id, owner_id)
        if upload is None:
            raise why_not(upload_store.find(connection, upload_id, owner_id))
        for index, chunk in enumerate(chunks):
            _check_number(upload, chunk.number, f"chunks.{index}.number")
        return upload

    upload = _transact(database, note, actor_id)
    return [
        SignedChunk.of(
            chunk.number,
            staging.presign_put(
                staged_chunks.key_of(upload.id, chunk.number, chunk.sha256),
                content_type=CHUNK_TYPE,
                content_length=upload.chunk_length(chunk.number),
                sha256=chunk.sha256,
                expires_in=URL_LIFETIME,
            ),
        )
        for chunk in chunks
    ]


def look(
    database: Database, staging: ObjectStorage, upload_id: UUID, *, owner_id: UUID | None
) -> UploadView:
    """Return how far an upload is; raises Unavailable when storage can't be asked."""
    return view_of(staging, find(database, upload_id, owner_id))


def report_failure(
    database: Database,
    staging: ObjectStorage,
    upload_id: UUID,
    number: int,
    reason: str,
    *,
    actor_id: UUID,
    owner_id: UUID | None,
) -> FailuresView:
    """Count that a chunk didn't get through in spite of all retries.

    Chunks that have arrived since the report before end the row of failures; while storage can't
    be asked, none have. A report that comes late, when the upload has failed or is being put
    together, changes nothing.

    Raises:
        ValidationFailed: the upload has no chunk of that number.
        Conflict, Gone: it is over.

    """
    upload = find(database, upload_id, owner_id)
    _check_number(upload, number, "number")
    state = upload.state_at(now())
    if state in upload_store.OPEN:
        try:
            received = len(staged_chunks.received(staging, upload))
        except Unavailable:
            received = 0
        counted = _transact(
            database,
            lambda connection: upload_store.count_failure(connection, upload_id, received),
            actor_id,
        )
        details = {"upload_id": str(upload_id), "number": number, "reason": reason}
        logger().warning("chunk did not get through", extra=details)
        upload = counted or find(database, upload_id, owner_id)
        if counted is not None and counted.state == "failed":
            count("UploadFailed")
            count("UploadFailed", reason=upload_store.TOO_MANY_FAILURES)
        state = upload.state_at(now())
    if state not in upload_store.GOING_ON:
        raise why_not(upload)
    return FailuresView(consecutive_failures=upload.consecutive_failures, state=state)


def resume(
    database: Database,
    staging: ObjectStorage,
    upload_id: UUID,
    *,
    actor_id: UUID,
    owner_id: UUID | None,
) -> UploadView:
    """Take a failed upload up again, and return how far it is.

    One that hasn't failed is only looked at: the answer to the request before may have been lost.

    Raises:
        Conflict, Gone: its file was refused, or it takes no chunks any more.
        Unavailable: also when it goes on and only storage can't be asked.

    """

    def take_up(connection: Connection) -> Upload:
        resumed = upload_store.resume(connection, upload_id, owner_id)
        if resumed is not None:
            return resumed
        upload = upload_store.find(connection, upload_id, owner_id)
        if upload is None or upload.state_at(now()) not in upload_store.OPEN:
            raise why_not(upload)
        return upload

    return view_of(staging, _transact(database, take_up, actor_id))


def complete(
    database: Database,
    staging: ObjectStorage,
    queue_url: str,
    upload_id: UUID,
    *,
    actor_id: UUID,
    owner_id: UUID | None,
) -> CompletionView:
    """Have the file put together, once all of its chunks have arrived.

    May be repeated, and should be when the answer was lost or Unavailable: while it is `assembling`
    that asks again, since nobody knows whether the message before was sent.

    Raises:
        Conflict: chunks are missing (`details` has their numbers), or it has failed or was aborted.
        Gone: it has expired.
        Unavailable: storage or the queue is.

    """
    upload = find(database, upload_id, owner_id)
    if upload.state_at(now()) in upload_store.OPEN:
        if missing := staged_chunks.missing(upload, arrived(staging, upload)):
            raise Conflict(
                "Chunks are missing.",
                details=[ErrorDetail("missing", str(number)) for number in missing],
            )
        closed = _transact(
            database,
            lambda connection: upload_store.begin_assembly(connection, upload_id),
            actor_id,
        )
        upload = closed or find(database, upload_id, owner_id)
    if upload.state == "assembling":
        ask_for_assembly(queue_url, upload_id)
    elif upload.state != "completed":
        raise why_not(upload)
    return CompletionView(upload_id=upload.id, media_id=upload.media_id, state=upload.state)


def abort(
    database: Database,
    staging: ObjectStorage,
    upload_id: UUID,
    *,
    actor_id: UUID,
    owner_id: UUID | None,
) -> None:
    """Give an upload up: its media is gone, and its chunks as soon as storage can be reached.

    One that is over already, but for being complete, is fine.

    Raises:
        Conflict: it is complete.

    """

    def give_up(connection: Connection) -> Upload | None:
        aborted = upload_store.abort(connection, upload_id, owner_id)
        if aborted is None:
            upload = upload_store.find(connection, upload_id, owner_id)
            if upload is None:
                raise why_not(None)
            if upload.state == "completed":
                raise Conflict("This upload is complete. Delete its media instead.")
        return aborted

    if (upload := _transact(database, give_up, actor_id)) is not None:
        staged_chunks.discard_at_once(staging, upload.id)


def _check_number(upload: Upload, number: int, field: str) -> None:
    if not 1 <= number <= upload.chunk_count:
        message = f"must be from 1 to {upload.chunk_count}"
        raise ValidationFailed("The request is not valid.", details=[ErrorDetail(field, message)])


def _transact[T](database: Database, work: Callable[[Connection], T], actor_id: UUID) -> T:
    return database.transact(work, actor=str(actor_id), request_id=request_id.current())
