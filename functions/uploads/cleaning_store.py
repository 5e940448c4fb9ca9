"""Every query about what uploads leave behind.

Nothing here touches an upload that goes on. Which one does is said by conditions that exclude those
of `upload_store`, in the statement that changes or at a time after which nothing changes back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    any_,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)

from fieldgate.db.tables.media import media
from fieldgate.db.tables.uploads import uploads
from uploads.assembly_store import is_free
from uploads.upload_store import COLUMNS, ENDED, EXPIRING, GOING_ON, Upload, as_upload

# No URL lives that long after it was signed, nor a request that began with one.
URLS_ARE_DEAD = timedelta(minutes=65)
# Longer than a message may rest that failed (fieldgate.queues) or was being worked on when its run
# was killed (template.yaml): whoever has one is not forgotten.
FORGOTTEN = timedelta(minutes=20)
# 24 h, for which an Idempotency-Key brings another URL (and an upload in chunks lasts), 1 h, for
# which that URL lives, and 1 h for a request that began in its last moment.
NEVER_SENT = timedelta(hours=26)
# A photo that is there is its owner's, and not given up. But where processing it fails again and
# again, that is to be tried once a day, not with every round. (A try changes the row.)
LEFT_ALONE = timedelta(days=1)
HALF_DELETED = timedelta(hours=1)
# Until then a phone that was away can ask what became of its upload.
REMEMBERED = timedelta(days=7)


@dataclass(frozen=True)
class Original:
    """A media, as far as its original is concerned."""

    id: UUID
    object_key: str
    content_type: str


def expire(connection: Connection, batch: int) -> int:
    """Mark up to `batch` uploads whose time is over as `expired`, and delete their media.

    Those whose file was refused stay what they are: their media tells why.
    """
    overdue = (
        select(uploads.c.id)
        .where(
            uploads.c.cleaned_at.is_(None),
            uploads.c.expires_at <= func.now(),
            uploads.c.state.in_(EXPIRING),
            uploads.c.refused.is_(False),
        )
        .limit(batch)
        .with_for_update(skip_locked=True)
    )
    expired = connection.execute(
        update(uploads)
        .where(_is_one_of(overdue))
        .values(state="expired", failure_reason=None, updated_at=func.now())
        .returning(uploads.c.media_id)
    )
    media_ids = list(expired.scalars())
    if media_ids:
        connection.execute(delete(media).where(media.c.id.in_(media_ids)))
    return len(media_ids)


def forgotten(connection: Connection, after: UUID, batch: int) -> list[Upload]:
    """Return uploads that wait to be put together, and nobody has done anything about."""
    statement = select(*COLUMNS).where(
        uploads.c.cleaned_at.is_(None),
        uploads.c.state == "assembling",
        uploads.c.updated_at < func.now() - FORGOTTEN,
        is_free(),
    )
    return _uploads(connection, _next(statement, uploads.c.id, after, batch))


def ended(connection: Connection, after: UUID, batch: int) -> list[Upload]:
    """Return uploads that are over, may have left something, and for which nothing can come."""
    statement = select(*COLUMNS).where(
        uploads.c.cleaned_at.is_(None),
        or_(
            uploads.c.state.in_(ENDED),
            and_(uploads.c.state == "failed", uploads.c.refused),
        ),
        or_(
            uploads.c.last_signed_at.is_(None),
            uploads.c.last_signed_at < func.now() - URLS_ARE_DEAD,
        ),
        # A run that has not heard of it yet.
        is_free(),
    )
    return _uploads(connection, _next(statement, uploads.c.id, after, batch))


def mark_cleaned(connection: Connection, upload_id: UUID) -> None:
    """Note that nothing of an upload is in storage but, if it is complete, its file."""
    connection.execute(
        update(uploads).where(uploads.c.id == upload_id).values(cleaned_at=func.now())
    )


def uncleaned(connection: Connection, upload_ids: Sequence[UUID]) -> set[UUID]:
    """Return those of `upload_ids` that may have something in storage."""
    statement = select(uploads.c.id).where(
        uploads.c.id.in_(upload_ids), uploads.c.cleaned_at.is_(None)
    )
    return set(connection.execute(statement).scalars())


def never_sent(connection: Connection, after: UUID, batch: int) -> list[Original]:
    """Return media that were announced long ago, and that nobody sends or is trying to process."""
    statement = _originals().where(_is_stale_pending())
    return _medias(connection, _next(statement, media.c.id, after, batch))


def drop(connection: Connection, media_id: UUID) -> bool:
    """Delete a media that was never sent; False when it is none any more."""
    dropped = connection.execute(
        delete(media).where(media.c.id == media_id, _is_stale_pending()).returning(media.c.id)
    )
    return dropped.one_or_none() is not None


def half_deleted(connection: Connection, after: UUID, batch: int) -> list[Original]:
    """Return media that were hidden some time ago, and not removed."""
    statement = _originals().where(media.c.deleted_at < func.now() - HALF_DELETED)
    return _medias(connection, _next(statement, media.c.id, after, batch))


def forget(connection: Connection, batch: int) -> int:
    """Delete up to `batch` rows of uploads that were cleaned up long ago."""
    old = (
        select(uploads.c.id)
        .where(uploads.c.cleaned_at < func.now() - REMEMBERED)
        .limit(batch)
        .with_for_update(skip_locked=True)
    )
    deleted: Any = connection.execute(delete(uploads).where(_is_one_of(old)))
    return int(deleted.rowcount)


def _is_one_of(chosen: Select[tuple[UUID]]) -> ColumnElement[bool]:
    """Say that an upload was chosen, in SQL: chosen once, and then looked up, not joined."""
    return uploads.c.id == any_(func.array(chosen.scalar_subquery()))


def _is_stale_pending() -> ColumnElement[bool]:
    on_its_way = exists().where(
        uploads.c.media_id == media.c.id,
        uploads.c.cleaned_at.is_(None),
        uploads.c.state.in_(GOING_ON),
        uploads.c.refused.is_(False),
    )
    return and_(
        media.c.state == "pending",
        media.c.deleted_at.is_(None),
        media.c.created_at < func.now() - NEVER_SENT,
        media.c.updated_at < func.now() - LEFT_ALONE,
        ~on_its_way,
    )


def _uploads(connection: Connection, statement: Select[Any]) -> list[Upload]:
    rows = connection.execute(statement).mappings()
    return [upload for row in rows if (upload := as_upload(row))]


def _originals() -> Select[Any]:
    return select(media.c.id, media.c.object_key, media.c.content_type)


def _medias(connection: Connection, statement: Select[Any]) -> list[Original]:
    return [Original(*row) for row in connection.execute(statement)]


def _next[S: Select[Any]](statement: S, column: Any, after: UUID, batch: int) -> S:
    """Return the rows that come after `after`: in one round, none is looked at twice."""
    return statement.where(column > after).order_by(column).limit(batch)
