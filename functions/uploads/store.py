"""Every query of the uploads domain."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    TextClause,
    and_,
    bindparam,
    delete,
    func,
    or_,
    select,
    text,
    update,
)

from fieldgate.db.paging import newest_page, read_page
from fieldgate.db.tables.media import media
from uploads.file_rules import PHOTO_TYPES, DeclaredFile, Folder

# A little more than the time-out of the function that works on it: then it is gone, whatever it
# was doing.
LEASE = timedelta(seconds=70)


@dataclass(frozen=True)
class Media:
    id: UUID
    owner_id: UUID
    folder: str
    filename: str
    content_type: str
    size: int
    sha256: str | None
    object_key: str
    state: str
    rejected_reason: str | None
    variants: dict[str, dict[str, Any]]
    processing_attempts: int
    created_at: datetime


_COLUMNS = [media.c[name] for name in Media.__dataclass_fields__]

# For what adds something else along with it, too; its parameters are `new_media_values`.
NEW_MEDIA = """
    INSERT INTO media (id, object_key, owner_id, folder, filename, content_type, size, sha256)
    SELECT id, concat(CAST(:folder AS text), '/', id, CAST(:extension AS text)),
        :owner_id, :folder, :filename, :content_type, :size, :sha256
    FROM (SELECT uuidv7() AS id) AS new"""


def add_media(
    connection: Connection, owner_id: UUID, folder: Folder, file: DeclaredFile, sha256: str | None
) -> Media:
    """Add a `pending` media; the database makes its id, and from that its object key."""
    values = new_media_values(owner_id, folder, file, sha256)
    return _media(connection.execute(_add(), values).mappings().one())


def new_media_values(
    owner_id: UUID, folder: Folder, file: DeclaredFile, sha256: str | None
) -> dict[str, Any]:
    """Return the parameters of `NEW_MEDIA`."""
    return vars(file) | {"owner_id": owner_id, "folder": folder.value, "sha256": sha256}


def find(connection: Connection, media_id: UUID, owner_id: UUID | None) -> Media | None:
    """Return a media that isn't deleted; of `owner_id` only, unless that is None."""
    condition = and_(media.c.id == media_id, _visible(owner_id))
    row = connection.execute(select(*_COLUMNS).where(condition)).mappings().one_or_none()
    return _media(row) if row else None


def find_by_key(connection: Connection, object_key: str) -> Media | None:
    """Return the media whose original is at `object_key`, unless it is deleted."""
    condition = and_(media.c.object_key == object_key, _visible(None))
    row = connection.execute(select(*_COLUMNS).where(condition)).mappings().one_or_none()
    return _media(row) if row else None


def find_page(
    connection: Connection, owner_id: UUID | None, folder: Folder | None, limit: int, offset: int
) -> tuple[list[Media], int]:
    """Return one page, newest first, and how many there are in all: one round trip for both."""
    statement = _page(of_owner=owner_id is not None, in_folder=folder is not None)
    rows, total = read_page(
        connection, statement, limit=limit, offset=offset, owner_id=owner_id, folder=folder
    )
    return [_media(row) for row in rows], total


def claim_for_processing(connection: Connection, object_key: str) -> Media | None:
    """Take the photo at `object_key` to work on it, alone, for `LEASE` at most.

    Returns None when it is finished, deleted, no photo, or another run's. `processing_attempts`
    then counts this attempt, and tells it from those before and after.
    """
    free = or_(
        media.c.state == "pending",
        and_(media.c.state == "processing", media.c.processing_since < func.now() - LEASE),
    )
    return _move(
        connection,
        and_(
            media.c.object_key == object_key,
            media.c.content_type.in_(PHOTO_TYPES.values()),
            free,
        ),
        state="processing",
        processing_since=func.now(),
        processing_attempts=media.c.processing_attempts + 1,
    )


def release(connection: Connection, claimed: Media) -> None:
    """Give a claim up, as if it had not been made."""
    attempts = claimed.processing_attempts - 1
    _move(connection, _is_ours(claimed), state="pending", processing_attempts=attempts)


def finish(
    connection: Connection, claimed: Media, sha256: str, variants: dict[str, dict[str, Any]]
) -> bool:
    """Mark as `ready`. Returns False when it was deleted, or taken from us, meanwhile."""
    values = {"state": "ready", "sha256": sha256, "variants": variants}
    return _move(connection, _is_ours(claimed), **values) is not None


def reject(connection: Connection, claimed: Media, reason: str) -> None:
    """Mark as `rejected` for `reason`, a stable code."""
    _move(connection, _is_ours(claimed), state="rejected", rejected_reason=reason)


def hide(connection: Connection, media_id: UUID, owner_id: UUID | None) -> Media | None:
    """Mark as deleted, first of two steps; may be repeated until `remove`."""
    condition = media.c.id == media_id
    if owner_id is not None:
        condition = and_(condition, media.c.owner_id == owner_id)
    row = connection.execute(
        update(media)
        .where(condition)
        .values(deleted_at=func.coalesce(media.c.deleted_at, func.now()))
        .returning(*_COLUMNS)
    )
    found = row.mappings().one_or_none()
    return _media(found) if found else None


def remove(connection: Connection, media_id: UUID) -> None:
    """Delete a hidden media's row, second of two steps."""
    connection.execute(delete(media).where(media.c.id == media_id, media.c.deleted_at.is_not(None)))


def _visible(owner_id: UUID | None) -> ColumnElement[bool]:
    exists = media.c.deleted_at.is_(None)
    return exists if owner_id is None else and_(exists, media.c.owner_id == owner_id)


@cache
def _add() -> TextClause:
    return text(f"{NEW_MEDIA} RETURNING {', '.join(Media.__dataclass_fields__)}")


@cache
def _page(*, of_owner: bool, in_folder: bool) -> Select[Any]:
    condition: ColumnElement[bool] = media.c.deleted_at.is_(None)
    if of_owner:
        condition = and_(condition, media.c.owner_id == bindparam("owner_id"))
    if in_folder:
        condition = and_(condition, media.c.folder == bindparam("folder"))
    return newest_page(media, _COLUMNS, condition)


def _is_ours(claimed: Media) -> ColumnElement[bool]:
    return and_(
        media.c.id == claimed.id,
        media.c.state == "processing",
        media.c.processing_attempts == claimed.processing_attempts,
    )


def _move(connection: Connection, condition: ColumnElement[bool], **values: Any) -> Media | None:
    row = (
        connection.execute(
            update(media)
            .where(condition, media.c.deleted_at.is_(None))
            .values(**values, updated_at=func.now())
            .returning(*_COLUMNS)
        )
        .mappings()
        .one_or_none()
    )
    return _media(row) if row else None


def _media(row: RowMapping) -> Media:
    return Media(**{name: row[name] for name in Media.__dataclass_fields__})
