"""How far an upload in chunks is, and why it can't be changed as somebody wants."""

from collections.abc import Collection
from datetime import UTC, datetime
from uuid import UUID

from fieldgate.db.engine import Database
from fieldgate.errors import Conflict, ErrorDetail, FieldgateError, Gone, NotFound
from fieldgate.storage import ObjectStorage
from uploads import staged_chunks, upload_store
from uploads.upload_store import Upload
from uploads.views import UploadView

_WHY_NOT = {
    "completed": "This upload is complete.",
    "assembling": "This upload is being put together.",
    "aborted": "This upload was given up.",
    "failed": "This upload has failed. Resume it first.",
}


def find(database: Database, upload_id: UUID, owner_id: UUID | None) -> Upload:
    """Return an upload; raises NotFound when it isn't there, or not `owner_id`'s."""
    upload = database.read(lambda connection: upload_store.find(connection, upload_id, owner_id))
    if upload is None:
        raise why_not(None)
    return upload


def view_of(staging: ObjectStorage, upload: Upload) -> UploadView:
    """Return how far an upload is; raises Unavailable when storage can't be asked."""
    missing = staged_chunks.missing(upload, arrived(staging, upload))
    return UploadView.of(upload, missing, now())


def arrived(staging: ObjectStorage, upload: Upload) -> Collection[int]:
    """Return the numbers of the chunks that are there; storage is asked where it can differ."""
    if upload.state in {"assembling", "completed"}:
        # They were all there, and are being removed or gone.
        return range(1, upload.chunk_count + 1)
    if upload.state_at(now()) in {"uploading", "failed"}:
        return staged_chunks.received(staging, upload)
    return ()


def why_not(upload: Upload | None) -> FieldgateError:
    """Return the error that says why `upload` can't be changed as was wanted."""
    if upload is None:
        return NotFound("There is no such upload.")
    state = upload.state_at(now())
    details = [ErrorDetail("state", state)]
    if state == "expired":
        return Gone("This upload has expired. Please begin another.", details=details)
    if upload.refused:
        return Conflict("The file of this upload was refused.", details=details)
    # When none of these is why, another request has changed it between our two looks at it.
    changed = "This upload has just changed. Please look at it again."
    return Conflict(_WHY_NOT.get(state, changed), details=details)


def now() -> datetime:
    return datetime.now(UTC)
