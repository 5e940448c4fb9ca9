"""The schedule that removes what uploads leave behind: media that were announced and never sent."""

from datetime import timedelta
from typing import Any, override

import pytest
from sqlalchemy import func, text, update

from fieldgate.db.tables.all import media
from fieldgate.errors import Unavailable
from fieldgate.http import idempotency
from fieldgate.storage.s3 import S3Storage
from tests import photos
from tests.support.assembly import Yard
from tests.support.cleanup import LONG_AGO, TEXT, before, clean
from tests.support.s3 import MEDIA, ORIGINALS, LocalS3
from uploads import (
    cleaning_store,
    presigning,
)
from uploads.processing import process_upload
from uploads.upload_store import Upload

# 6. What was announced and never sent

NEVER_SENT = before(hours=26, minutes=1)


def backdate(yard: Yard, upload: Upload, **values: Any) -> None:
    """Change a media past the trigger that notes when it was changed."""

    def change(connection: Any) -> None:
        connection.execute(text("ALTER TABLE media DISABLE TRIGGER touch_updated_at"))
        connection.execute(update(media).where(media.c.id == upload.media_id).values(values))
        connection.execute(text("ALTER TABLE media ENABLE ALWAYS TRIGGER touch_updated_at"))

    yard.database.transact(change)


def announce(yard: Yard, filename: str, **values: Any) -> Upload:
    """A media that is to come in one request: no upload has it."""
    upload = yard.begin(TEXT, filename=filename)
    backdate(yard, upload, **(NEVER_SENT | values))
    yard.forget(upload)
    return upload


def test_a_media_that_was_never_sent_is_deleted(yard: Yard) -> None:
    upload = announce(yard, "leaf.jpg")
    assert clean(yard) == {"settle_never_sent": 1}
    assert yard.media(upload) is None


def test_a_photo_that_is_there_and_was_never_processed_is_announced(yard: Yard) -> None:
    upload = announce(yard, "leaf.jpg")
    yard.originals.put(
        upload.object_key, photos.small_jpeg(), content_type="image/jpeg", cache_control="private"
    )
    assert clean(yard) == {"settle_never_sent": 1}
    assert yard.announced == [upload.object_key]
    assert yard.media_by_id(upload.media_id)["state"] == "pending"


def test_a_photo_whose_upload_is_complete_and_that_nobody_processed_is_announced(
    yard: Yard,
) -> None:
    upload = yard.send(photos.small_jpeg(), filename="leaf.jpg")
    yard.assemble(upload)
    yard.announced.clear()
    backdate(yard, upload, **NEVER_SENT)
    assert clean(yard) == {"settle_never_sent": 1}
    assert yard.announced == [upload.object_key]


def test_a_photo_that_cannot_be_processed_is_announced_once_a_day(yard: Yard, s3: LocalS3) -> None:
    content = photos.small_jpeg()
    upload = announce(yard, "leaf.jpg", size=len(content))
    yard.originals.put(
        upload.object_key, content, content_type="image/jpeg", cache_control="private"
    )

    class Defect(S3Storage):
        @override
        def put(self, *_: Any, **__: Any) -> None:
            raise ZeroDivisionError

    def try_it() -> None:
        places = yard.database, yard.originals, Defect(s3.place(MEDIA), s3.credentials)
        with pytest.raises(ZeroDivisionError):
            process_upload(*places, upload.object_key)

    assert clean(yard) == {"settle_never_sent": 1}
    try_it()
    assert clean(yard) == {}
    backdate(yard, upload, updated_at=func.now() - timedelta(hours=23))
    assert clean(yard) == {}
    backdate(yard, upload, updated_at=func.now() - timedelta(hours=25))
    assert clean(yard) == {"settle_never_sent": 1}
    assert yard.announced == [upload.object_key] * 2
    yard.process(upload)
    assert yard.media_by_id(upload.media_id)["state"] == "ready"


def test_a_photo_that_could_not_be_announced_is_in_the_next_round(yard: Yard) -> None:
    upload = announce(yard, "leaf.jpg")
    yard.originals.put(
        upload.object_key, photos.small_jpeg(), content_type="image/jpeg", cache_control="private"
    )

    def refuse(_key: str) -> None:
        raise Unavailable("on purpose")

    with pytest.raises(Unavailable):
        clean(yard, announce=refuse)
    assert clean(yard) == {"settle_never_sent": 1}


def test_what_begins_to_be_processed_while_it_is_looked_at_is_left_alone(
    yard: Yard, s3: LocalS3
) -> None:
    """Sent too late for the look into storage, and in time for all else."""
    upload = announce(yard, "leaf.jpg")

    class Before(S3Storage):
        @override
        def head(self, key: str) -> Any:
            found = super().head(key)
            yard.change_media(upload, state="processing")
            return found

    originals = Before(s3.place(ORIGINALS), s3.credentials)
    assert clean(yard, originals=originals) == {}
    assert yard.media_by_id(upload.media_id)["state"] == "processing"


def test_what_counts_as_never_sent_cannot_be_on_its_way() -> None:
    """With the last moment of its key, the last URL; with the last of that, the last request."""
    last_request = idempotency.LIFETIME + presigning.URL_LIFETIME
    assert last_request + timedelta(minutes=30) < cleaning_store.NEVER_SENT


@pytest.mark.parametrize(
    "values",
    [
        before(hours=25, minutes=30),
        {"state": "stored"},
        {"state": "processing"},
        {"deleted_at": func.now()},
    ],
    ids=["may still come", "stored", "at work", "being deleted"],
)
def test_any_other_media_is_left_alone(yard: Yard, values: dict[str, Any]) -> None:
    upload = announce(yard, "leaf.jpg", **values)
    before = yard.media(upload)
    assert clean(yard) == {}
    assert yard.media(upload) == before


# 7. What was hidden and not quite deleted


def test_a_deletion_that_was_broken_off_is_finished(yard: Yard) -> None:
    upload = announce(yard, "notes.txt", state="stored", deleted_at=func.now() - LONG_AGO)
    yard.originals.put(upload.object_key, TEXT, content_type="x/y", cache_control="private")
    assert clean(yard) == {"finish_deletions": 1}
    assert (yard.media(upload), yard.made()) == (None, {})
