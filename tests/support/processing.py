"""Processing photos with something in the way: ends, waits, deletions, claims that grow old."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, override
from uuid import UUID

from sqlalchemy import func, select, update

from fieldgate.db.engine import Database
from fieldgate.db.tables.all import change_log
from fieldgate.db.tables.all import media as media_table
from fieldgate.storage.s3 import S3Storage
from tests.support.media import Darkroom
from tests.support.s3 import STAGING
from uploads import store
from uploads.deleting import delete_media
from uploads.processing import process_upload
from uploads.store import Media


class Killed(BaseException):
    """The environment ended here: nothing of ours gets to see it."""


class Interrupted(S3Storage):
    """Published storage where something happens before or after an object is put."""

    before: Callable[[str], None] = staticmethod(lambda _key: None)
    after: Callable[[str], None] = staticmethod(lambda _key: None)

    @override
    def put(self, key: str, body: bytes, **stored_as: Any) -> None:
        self.before(key)
        super().put(key, body, **stored_as)
        self.after(key)


def process(darkroom: Darkroom, media: Media, published: S3Storage | None = None) -> None:
    process_upload(
        darkroom.database,
        darkroom.originals,
        published or darkroom.published,
        media.object_key,
    )


def delete(darkroom: Darkroom, media: Media, database: Database | None = None) -> None:
    delete_media(
        database or darkroom.database,
        S3Storage(darkroom.s3.place(STAGING), darkroom.s3.credentials),
        darkroom.originals,
        darkroom.published,
        media.id,
        actor_id=darkroom.owner_id,
        owner_id=darkroom.owner_id,
    )


def claim(darkroom: Darkroom, media: Media) -> Media | None:
    return darkroom.database.transact(
        lambda connection: store.claim_for_processing(connection, media.object_key)
    )


def age_claim(darkroom: Darkroom, media: Media, age: timedelta) -> None:
    """Make the claim on the media as old as `age`."""
    statement = (
        update(media_table)
        .where(media_table.c.id == media.id)
        .values(processing_since=func.now() - age)
    )
    darkroom.database.transact(lambda connection: connection.execute(statement))


def end_lease(darkroom: Darkroom, media: Media) -> None:
    age_claim(darkroom, media, store.LEASE + timedelta(seconds=1))


def history(darkroom: Darkroom, media_id: UUID) -> list[str]:
    """The states that the change log has seen the media in, in order."""
    statement = (
        select(change_log.c.after["state"].astext)
        .where(change_log.c.entity == "media", change_log.c.entity_id == str(media_id))
        .order_by(change_log.c.id)
    )
    return list(darkroom.database.read(lambda connection: connection.execute(statement).scalars()))
