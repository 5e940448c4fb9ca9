"""Every query of a phone's requests about its upload in chunks.

Each change is one conditional statement: of requests that race, the database lets one be first,
and whoever finds nothing to change (None) looks why.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    TextClause,
    and_,
    case,
    delete,
    func,
    select,
    text,
    update,
)

from fieldgate.db.tables.media import media
from fieldgate.db.tables.uploads import uploads
from uploads.file_rules import DeclaredFile, Folder
from uploads.store import NEW_MEDIA, new_media_values

LIFETIME = timedelta(hours=24)
# So many in a row, and the upload has failed.
MAX_CONSECUTIVE_FAILURES = 10
TOO_MANY_FAILURES = "TOO_MANY_FAILURES"

# What chunks may still be sent for.
OPEN = ("created", "uploading")
# What ends by itself when its time is over; putting together is not stopped halfway.
EXPIRING = (*OPEN, "failed")
# What isn't over, and the phone can give up.
GOING_ON = (*EXPIRING, "assembling")
ENDED = ("completed", "aborted", "expired")


@dataclass(frozen=True)
class Upload:
    id: UUID
    media_id: UUID
    owner_id: UUID
    object_key: str
    content_type: str
    size: int
    sha256: str | None
    chunk_size: int
    state: str
    consecutive_failures: int
    failure_reason: str | None
    refused: bool
    assembly_attempts: int
    multipart_id: str | None
    expires_at: datetime

    @property
    def chunk_count(self) -> int:
        return -(-self.size // self.chunk_size)

    def chunk_length(self, number: int) -> int:
        """Return the bytes of chunk `number`, from 1 to `chunk_count`; the last is what is left."""
        return min(self.chunk_size, self.size - (number - 1) * self.chunk_size)

    def state_at(self, now: datetime) -> str:
        """Return the state as it is seen: `expired` once its time is over, swept or not.

        One whose file was refused stays `failed`: that says more.
        """
        is_over = self.state in EXPIRING and not self.refused and self.expires_at <= now
        return "expired" if is_over else self.state


COLUMNS = [uploads.c[name] for name in Upload.__dataclass_fields__]


def add(
    connection: Connection,
    owner_id: UUID,
    folder: Folder,
    file: DeclaredFile,
    sha256: str | None,
    chunk_size: int,
) -> Upload:
    """Add an upload and the `pending` media that it will fill: one statement for both."""
    values = new_media_values(owner_id, folder, file, sha256)
    values |= {"chunk_size": chunk_size, "lifetime": LIFETIME}
    return Upload(**connection.execute(_add(), values).mappings().one())


def find(connection: Connection, upload_id: UUID, owner_id: UUID | None) -> Upload | None:
    """Return an upload; of `owner_id` only, unless that is None."""
    row = connection.execute(select(*COLUMNS).where(_owned(upload_id, owner_id)))
    return as_upload(row.mappings().one_or_none())


def sign(connection: Connection, upload_id: UUID, owner_id: UUID | None) -> Upload | None:
    """Note that URLs are signed now, which makes it `uploading`; None when it is not open."""
    return move(
        connection,
        _owned(upload_id, owner_id),
        _in_time(OPEN),
        state="uploading",
        last_signed_at=func.now(),
    )


def count_failure(connection: Connection, upload_id: UUID, received: int) -> Upload | None:
    """Count one more failure in a row, or the first one when chunks have arrived since the last.

    The one too many makes it `failed`. None when it is not open (any more).
    """
    failure = one_more_failure(received, otherwise=uploads.c.state)
    return move(connection, uploads.c.id == upload_id, _in_time(OPEN), **failure)


def one_more_failure(received: int, otherwise: ColumnElement[str] | str) -> dict[str, Any]:
    """Return what changes by a failure: the state to `failed` by one too many, or `otherwise`."""
    in_a_row = case(
        (uploads.c.received_at_failure < received, 1), else_=uploads.c.consecutive_failures + 1
    )
    too_many = in_a_row >= MAX_CONSECUTIVE_FAILURES
    return {
        "consecutive_failures": in_a_row,
        "received_at_failure": func.greatest(uploads.c.received_at_failure, received),
        "state": case((too_many, "failed"), else_=otherwise),
        "failure_reason": case((too_many, TOO_MANY_FAILURES)),
    }


def resume(connection: Connection, upload_id: UUID, owner_id: UUID | None) -> Upload | None:
    """Take a failed upload up again; None when it isn't failed, or its file was refused."""
    return move(
        connection,
        _owned(upload_id, owner_id),
        _in_time(("failed",)),
        uploads.c.refused.is_(False),
        state="uploading",
        failure_reason=None,
        consecutive_failures=0,
    )


def begin_assembly(connection: Connection, upload_id: UUID) -> Upload | None:
    """Close it to chunks, so that it can be put together; None when it is not open (any more).

    No run can be at it from before: what ended an earlier assembly was that assembly's only run.
    """
    return move(
        connection,
        uploads.c.id == upload_id,
        _in_time(OPEN),
        state="assembling",
        assembling_since=None,
        assembly_attempts=0,
    )


def abort(connection: Connection, upload_id: UUID, owner_id: UUID | None) -> Upload | None:
    """Give an upload up, and the media that nothing was stored of; None when it is over."""
    upload = move(connection, _owned(upload_id, owner_id), _goes_on(), **_ABORTED)
    if upload is not None:
        connection.execute(delete(media).where(media.c.id == upload.media_id))
    return upload


def abort_of_media(connection: Connection, media_id: UUID, owner_id: UUID | None) -> Upload | None:
    """Give the upload up that was to fill a media; None when there is none that is going on."""
    is_it: ColumnElement[bool] = uploads.c.media_id == media_id
    return move(connection, _of(is_it, owner_id), _goes_on(), **_ABORTED)


def move(connection: Connection, *conditions: ColumnElement[bool], **values: Any) -> Upload | None:
    """Change the one upload that all of the conditions are true of; None when there is none."""
    row = connection.execute(
        update(uploads)
        .where(*conditions)
        .values(**values, updated_at=func.now())
        .returning(*COLUMNS)
    )
    return as_upload(row.mappings().one_or_none())


def as_upload(row: RowMapping | None) -> Upload | None:
    return Upload(**{name: row[name] for name in Upload.__dataclass_fields__}) if row else None


@cache
def _add() -> TextClause:
    return text(f"""
    WITH added AS ({NEW_MEDIA} RETURNING id, object_key)
    INSERT INTO uploads
        (media_id, object_key, owner_id, content_type, size, sha256, chunk_size, expires_at)
    SELECT id, object_key, :owner_id, :content_type, :size, :sha256, :chunk_size, now() + :lifetime
    FROM added
    RETURNING {", ".join(Upload.__dataclass_fields__)}""")  # noqa: S608 made of constants


_ABORTED: dict[str, Any] = {"state": "aborted", "failure_reason": None}


def _owned(upload_id: UUID, owner_id: UUID | None) -> ColumnElement[bool]:
    return _of(uploads.c.id == upload_id, owner_id)


def _of(is_it: ColumnElement[bool], owner_id: UUID | None) -> ColumnElement[bool]:
    return is_it if owner_id is None else and_(is_it, uploads.c.owner_id == owner_id)


def _goes_on() -> ColumnElement[bool]:
    return uploads.c.state.in_(GOING_ON)


def _in_time(states: tuple[str, ...]) -> ColumnElement[bool]:
    return and_(uploads.c.state.in_(states), uploads.c.expires_at > func.now())
