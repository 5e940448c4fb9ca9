"""Every query about putting an upload's file together."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, and_, func, or_, update

from fieldgate.db.tables.media import media
from fieldgate.db.tables.uploads import uploads
from uploads import upload_store
from uploads.file_rules import PHOTO_TYPES
from uploads.upload_store import COLUMNS, Upload, as_upload

# A little more than the time-out of the function that works on it: then it is gone, whatever it
# was doing.
LEASE = timedelta(seconds=130)


@dataclass(frozen=True)
class Claim:
    """The right to put this upload together; `since` tells it from all before and after."""

    upload: Upload
    since: datetime


def is_free() -> ColumnElement[bool]:
    """Say that no run is at an upload, in SQL."""
    since = uploads.c.assembling_since
    return or_(since.is_(None), since < func.now() - LEASE)


def claim(connection: Connection, upload_id: UUID) -> Claim | None:
    """Take an upload to put it together, alone, for `LEASE` at most; `assembly_attempts` counts.

    Returns None when there is nothing to put together, or another run is at it.
    """
    row = connection.execute(
        update(uploads)
        .where(uploads.c.id == upload_id, uploads.c.state == "assembling", is_free())
        .values(
            assembling_since=func.now(),
            assembly_attempts=uploads.c.assembly_attempts + 1,
            updated_at=func.now(),
        )
        .returning(*COLUMNS, uploads.c.assembling_since)
    )
    found = row.mappings().one_or_none()
    upload = as_upload(found)
    return Claim(upload, found["assembling_since"]) if upload and found else None


def release(connection: Connection, claimed: Claim) -> None:
    """Give a claim up, as if it had not been made."""
    attempts = claimed.upload.assembly_attempts - 1
    _move(connection, claimed, assembling_since=None, assembly_attempts=attempts)


def record_parts(connection: Connection, claimed: Claim, multipart_id: str) -> bool:
    """Note which attempt at parts is to be given up if this run dies; False: it's not ours."""
    return _move(connection, claimed, multipart_id=multipart_id) is not None


def reopen(connection: Connection, claimed: Claim, received: int) -> str | None:
    """Let chunks be sent again, since only so many are good; that counts as one more failure.

    Returns the state, `uploading`, or `failed` by one failure too many (see
    `upload_store.count_failure`); None when it isn't ours any more.
    """
    failure = upload_store.one_more_failure(received, otherwise="uploading")
    upload = _move(connection, claimed, assembling_since=None, **failure)
    return upload.state if upload else None


def fail(connection: Connection, claimed: Claim, reason: str) -> bool:
    """Mark as `failed`, to be resumed; False when it isn't ours any more."""
    values = {"state": "failed", "failure_reason": reason, "assembling_since": None}
    return _move(connection, claimed, **values) is not None


def refuse(connection: Connection, claimed: Claim, reason: str) -> bool:
    """Mark as `failed` for good, and its media as `rejected`; False when it isn't ours any more."""
    values = {"state": "failed", "failure_reason": reason, "assembling_since": None}
    upload = _move(connection, claimed, refused=True, **values)
    if upload is None:
        return False
    connection.execute(
        update(media)
        .where(media.c.id == upload.media_id, media.c.state == "pending")
        .values(state="rejected", rejected_reason=reason, updated_at=func.now())
    )
    return True


def finish(connection: Connection, claimed: Claim, sha256: str) -> bool:
    """Mark as `completed`, and a document as `stored`; a photo's state is its processing's to set.

    Returns False when it isn't ours any more, or nobody wants it: without a media it is `aborted`.
    """
    upload = _move(connection, claimed, state="completed", assembling_since=None)
    if upload is None:
        return False
    values: dict[str, Any] = {"sha256": sha256, "updated_at": func.now()}
    if upload.content_type not in PHOTO_TYPES.values():
        values["state"] = "stored"
    filled = connection.execute(
        update(media)
        .where(media.c.id == upload.media_id, media.c.deleted_at.is_(None))
        .values(values)
        .returning(media.c.id)
    )
    if filled.one_or_none() is None:
        connection.execute(update(uploads).where(uploads.c.id == upload.id).values(state="aborted"))
        return False
    return True


def _move(connection: Connection, claimed: Claim, **values: Any) -> Upload | None:
    is_ours = and_(
        uploads.c.id == claimed.upload.id,
        uploads.c.state == "assembling",
        uploads.c.assembling_since == claimed.since,
    )
    return upload_store.move(connection, is_ours, **values)
