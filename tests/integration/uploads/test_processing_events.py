"""Events of S3 that come twice, late, early or for nothing."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from dataclasses import replace
from datetime import timedelta
from typing import Any, override

import pytest
from sqlalchemy import Connection, func, update

from fieldgate.db.engine import Database
from fieldgate.db.tables.all import media as media_table
from fieldgate.db.url import parse_url
from fieldgate.errors import Unavailable
from fieldgate.storage.s3 import S3Storage
from tests import photos
from tests.support.log import Log
from tests.support.media import Darkroom, row_of
from tests.support.processing import (
    Interrupted,
    age_claim,
    claim,
    delete,
    end_lease,
    history,
    process,
)
from tests.support.s3 import MEDIA, ORIGINALS, LocalS3
from uploads import processing, store
from uploads.processing import process_upload
from uploads.store import Media


def test_a_repeated_event_changes_nothing(darkroom: Darkroom, s3: LocalS3) -> None:
    media = darkroom.upload()
    process(darkroom, media)
    before = darkroom.row(media), darkroom.variants(), modified(s3)
    process(darkroom, media)
    assert (darkroom.row(media), darkroom.variants(), modified(s3)) == before
    assert history(darkroom, media.id).count("ready") == 1


def modified(s3: LocalS3) -> dict[str, Any]:
    found = s3.client().list_objects_v2(Bucket=MEDIA).get("Contents", [])
    return {item["Key"]: item["LastModified"] for item in found}


def test_of_events_at_the_same_time_one_is_worked_on_and_the_others_come_back(
    darkroom: Darkroom, database_url: str, s3: LocalS3
) -> None:
    """Four runs; the one that has the media goes on when the three others have ended."""
    media = darkroom.upload(photos.camera_jpeg(1000, 750, orientation=3))
    ended = threading.Semaphore(0)

    class Waiting(S3Storage):
        @override
        def read(self, key: str, *, max_bytes: int) -> bytes:
            for _ in range(3):
                assert ended.acquire(timeout=30)
            return super().read(key, max_bytes=max_bytes)

    def run() -> None:
        with closing(Database(lambda: parse_url(database_url, "the test"))) as own_database:
            try:
                process_upload(
                    own_database,
                    Waiting(s3.place(ORIGINALS), s3.credentials),
                    S3Storage(s3.place(MEDIA), s3.credentials),
                    media.object_key,
                )
            finally:
                ended.release()

    with ThreadPoolExecutor(4) as threads:
        outcomes = [future.exception() for future in [threads.submit(run) for _ in range(4)]]

    assert sorted(type(outcome).__name__ for outcome in outcomes) == [
        "NoneType",
        *["Unavailable"] * 3,
    ]
    assert history(darkroom, media.id) == ["pending", "processing", "ready"]
    before = darkroom.row(media), darkroom.variants(), modified(s3)
    assert len(darkroom.variants()) == 2
    for _ in range(3):
        process(darkroom, media)
    assert (darkroom.row(media), darkroom.variants(), modified(s3)) == before


LATE: dict[str, Callable[[Connection, Media], object]] = {
    "finish": lambda connection, claimed: store.finish(connection, claimed, "0" * 64, {}),
    "reject": lambda connection, claimed: store.reject(connection, claimed, "CORRUPT"),
    "release": store.release,
}


@pytest.mark.parametrize("reached", ["pending", "ready", "rejected"])
@pytest.mark.parametrize("late", LATE)
def test_a_run_that_comes_too_late_does_not_overturn_what_was_decided(
    darkroom: Darkroom, reached: str, late: str
) -> None:
    media = darkroom.upload(b"not a photo" if reached == "rejected" else None)
    if reached != "pending":
        process(darkroom, media)
    before = darkroom.row(media)
    assert before["state"] == reached
    claimed = replace(media, processing_attempts=before["processing_attempts"])
    assert not darkroom.database.transact(lambda connection: LATE[late](connection, claimed))
    assert darkroom.row(media) == before


@pytest.mark.parametrize("late", LATE)
def test_a_run_whose_lease_another_has_taken_over_can_do_nothing(
    darkroom: Darkroom, late: str
) -> None:
    media = darkroom.upload()
    slow = claim(darkroom, media)
    assert slow is not None
    end_lease(darkroom, media)
    quick = claim(darkroom, media)
    assert quick is not None
    before = darkroom.row(media)

    assert not darkroom.database.transact(lambda connection: LATE[late](connection, slow))

    assert darkroom.row(media) == before
    assert darkroom.database.transact(lambda c: store.finish(c, quick, "0" * 64, {}))


def test_a_run_that_finds_itself_taken_over_leaves_it_to_the_other(
    darkroom: Darkroom, interrupted: Interrupted, database_url: str
) -> None:
    media = darkroom.upload()
    taken: list[Media | None] = []

    def take_over(key: str) -> None:
        if key.endswith("ai.jpg"):
            end_lease(darkroom, media)
            with closing(Database(lambda: parse_url(database_url, "the test"))) as others:
                taken.append(
                    others.transact(lambda c: store.claim_for_processing(c, media.object_key))
                )

    interrupted.before = take_over
    with pytest.raises(Unavailable):
        process(darkroom, media, interrupted)
    assert taken[0] is not None
    row = darkroom.row(media)
    assert (row["state"], row["processing_attempts"]) == ("processing", 2)


def test_a_lease_is_held_for_its_whole_time(darkroom: Darkroom) -> None:
    media = darkroom.upload()
    assert claim(darkroom, media) is not None
    assert claim(darkroom, media) is None
    age_claim(darkroom, media, store.LEASE - timedelta(seconds=5))
    assert claim(darkroom, media) is None
    with pytest.raises(Unavailable):
        process(darkroom, media)
    assert darkroom.row(media)["processing_attempts"] == 1

    end_lease(darkroom, media)
    process(darkroom, media)
    row = darkroom.row(media)
    assert (row["state"], row["processing_attempts"]) == ("ready", 2)


def test_a_late_event_does_not_open_a_rejected_media_again(darkroom: Darkroom) -> None:
    media = darkroom.upload(b"not a photo")
    process(darkroom, media)
    before = darkroom.row(media)
    assert before["state"] == "rejected"
    darkroom.store(media, photos.small_jpeg())
    process(darkroom, media)
    assert darkroom.row(media) == before
    assert darkroom.variants() == {}


def test_what_is_sent_for_a_deleted_media_is_removed(darkroom: Darkroom) -> None:
    media = darkroom.upload()
    delete(darkroom, media)
    darkroom.store(media, photos.small_jpeg())  # its URL still lives
    darkroom.published.put(  # as a run that was at it may have
        processing.variant_keys(media.object_key)[0],
        b"x",
        content_type="image/jpeg",
        cache_control="private",
    )
    process(darkroom, media)
    assert (darkroom.variants(), darkroom.stored_originals()) == ({}, {})
    assert row_of(darkroom.database, media.id) is None


@pytest.mark.parametrize(
    "object_key",
    [
        "farmers/0198a5b6-0000-7000-8000-000000000001.jpg",
        "farmers/leaf.jpg",
        "leaf",
        "",
        "../../etc/passwd",
        "variants//x",
        "farmers/leaf\0.jpg",
        "farmers/\ud800.jpg",
        "farmers/" + "x" * 2000,
        "' OR 1=1 --",
    ],
)
def test_an_object_that_nobody_announced_is_left_alone(
    darkroom: Darkroom, object_key: str, log: Log
) -> None:
    bystander = darkroom.upload()
    before = darkroom.row(bystander)
    process_upload(darkroom.database, darkroom.originals, darkroom.published, object_key)
    assert darkroom.row(bystander) == before
    assert darkroom.variants() == {}
    assert log.said("nothing to process") or log.said("not an object of ours")


@pytest.mark.parametrize("object_key", ["leaf.jpg", "farmers/leaf.jpg", "exports/2026/all.csv"])
def test_an_object_that_is_not_ours_by_its_key_stays(darkroom: Darkroom, object_key: str) -> None:
    darkroom.originals.put(
        object_key, b"another's", content_type="text/plain", cache_control="private"
    )
    process_upload(darkroom.database, darkroom.originals, darkroom.published, object_key)
    assert darkroom.stored_originals() == {object_key: b"another's"}


@pytest.mark.parametrize("state", ["pending", "processing", "ready", "stored", "rejected"])
@pytest.mark.parametrize("content_type", ["image/jpeg", "application/pdf"])
def test_no_object_of_a_media_that_is_there_is_ever_removed(
    darkroom: Darkroom, state: str, content_type: str
) -> None:
    media = darkroom.upload()
    values = {
        "state": state,
        "content_type": content_type,
        "processing_since": func.now() if state == "processing" else None,
        "rejected_reason": "CORRUPT" if state == "rejected" else None,
    }
    statement = update(media_table).where(media_table.c.id == media.id).values(values)
    darkroom.database.transact(lambda connection: connection.execute(statement))
    outcome = pytest.raises(Unavailable) if state == "processing" else nullcontext()

    with outcome:
        process(darkroom, media)

    assert darkroom.stored_originals() == {media.object_key: photos.small_jpeg()}
    photo = content_type == "image/jpeg"
    assert darkroom.row(media)["state"] == ("ready" if photo and state == "pending" else state)


def test_only_a_photo_is_claimed(darkroom: Darkroom) -> None:
    media = darkroom.upload()
    statement = update(media_table).values(content_type="application/pdf")
    darkroom.database.transact(lambda connection: connection.execute(statement))
    before = darkroom.row(media)
    process(darkroom, media)
    assert claim(darkroom, media) is None
    assert darkroom.row(media) == before
    assert before["state"] == "pending"


def test_an_event_before_the_object_is_there_leaves_the_media_pending(darkroom: Darkroom) -> None:
    media = darkroom.announce()
    process(darkroom, media)
    assert darkroom.row(media)["state"] == "pending"
    darkroom.store(media, photos.small_jpeg())
    process(darkroom, media)
    assert darkroom.row(media)["state"] == "ready"


def test_an_event_after_the_object_is_gone_leaves_the_media_pending(darkroom: Darkroom) -> None:
    media = darkroom.upload()
    darkroom.originals.delete([media.object_key])
    process(darkroom, media)
    assert darkroom.row(media)["state"] == "pending"
    assert darkroom.variants() == {}
