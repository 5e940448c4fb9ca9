"""From S3's event to finished variants, with all that can go wrong on the way."""

import io
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, override
from uuid import UUID

import httpx
import pytest
from PIL import Image
from sqlalchemy import Connection, func, select, update

from fieldgate import deadline
from fieldgate.db.engine import Database
from fieldgate.db.tables import change_log
from fieldgate.db.tables import media as media_table
from fieldgate.db.url import parse_url
from fieldgate.errors import Unavailable
from fieldgate.storage import StorageError
from fieldgate.storage.s3 import S3Storage
from tests import photos
from tests.support.database import count_statements
from tests.support.log import Log
from tests.support.media import Darkroom, row_of, sha256
from tests.support.s3 import MEDIA, ORIGINALS, STAGING, LocalS3
from uploads import processing, store
from uploads.deleting import delete_media
from uploads.file_rules import MAX_FILE_BYTES, MAX_PHOTO_BYTES, Folder
from uploads.photo import render_variants
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


@pytest.fixture
def interrupted(s3: LocalS3) -> Interrupted:
    return Interrupted(s3.place(MEDIA), s3.credentials)


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


# What comes of a good photo


def test_a_photo_becomes_ready_with_both_variants_published(darkroom: Darkroom) -> None:
    content = photos.camera_jpeg(2000, 1500, orientation=6)
    media = darkroom.upload(content)
    process(darkroom, media)

    row = darkroom.row(media)
    assert (row["state"], row["rejected_reason"]) == ("ready", None)
    assert row["sha256"] == sha256(content)
    stored = darkroom.variants()
    assert set(stored) == {
        f"variants/farmers/{media.id}/web.jpg",
        f"variants/farmers/{media.id}/ai.jpg",
    }
    for name, box in {"web": (500, 500), "ai": (800, 600)}.items():
        described = row["variants"][name]
        with Image.open(io.BytesIO(stored[described["key"]])) as picture:
            assert picture.format == "JPEG"
            assert picture.size == (described["width"], described["height"])
            assert picture.width <= box[0]
            assert picture.height <= box[1]
            assert picture.height > picture.width  # upright
        assert described["bytes"] == len(stored[described["key"]])
    assert row["variants"]["ai"]["bytes"] <= 100_000


def test_nothing_of_the_metadata_reaches_the_variants(darkroom: Darkroom) -> None:
    content = photos.camera_jpeg(1000, 750, orientation=6)
    assert b"Exif\0\0" in content
    with Image.open(io.BytesIO(content)) as original:
        assert original.getexif().get_ifd(0x8825), "the sample has a GPS position"
    process(darkroom, darkroom.upload(content))
    assert len(darkroom.variants()) == 2
    for variant in darkroom.variants().values():
        with Image.open(io.BytesIO(variant)) as picture:
            assert not picture.getexif()
            assert set(picture.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
        assert b"Exif" not in variant
        assert b"http://ns.adobe.com/xap" not in variant


def test_variants_are_stored_as_pictures_that_never_change(darkroom: Darkroom, s3: LocalS3) -> None:
    process(darkroom, darkroom.upload())
    for key in darkroom.variants():
        head = s3.client().head_object(Bucket=MEDIA, Key=key)
        assert head["ContentType"] == "image/jpeg"
        assert head["CacheControl"] == "public, max-age=31536000, immutable"


def test_neither_original_nor_variants_can_be_read_without_a_signature(
    darkroom: Darkroom, s3: LocalS3
) -> None:
    media = darkroom.upload()
    process(darkroom, media)
    for bucket, keys in {ORIGINALS: [media.object_key], MEDIA: [*darkroom.variants()]}.items():
        for key in keys:
            assert httpx.get(f"{s3.endpoint}/{bucket}/{key}").status_code == 403


@pytest.mark.parametrize(
    ("content_type", "make"),
    [
        ("image/jpeg", photos.cmyk_jpeg),
        ("image/png", photos.sixteen_bit_png),
        ("image/png", photos.palette_with_alpha_png),
        ("image/png", photos.ODD["1 x 1 PNG"][1]),
        ("image/webp", photos.small_webp),
    ],
)
def test_an_odd_but_good_photo_becomes_ready(
    darkroom: Darkroom, content_type: str, make: Callable[[], bytes]
) -> None:
    media = darkroom.upload(make(), content_type=content_type)
    process(darkroom, media)
    assert darkroom.row(media)["state"] == "ready"


def test_the_change_log_names_who_did_it(darkroom: Darkroom) -> None:
    media = darkroom.upload()
    process(darkroom, media)
    assert history(darkroom, media.id) == ["pending", "processing", "ready"]
    statement = select(change_log.c.actor).where(change_log.c.entity_id == str(media.id))
    actors = set(darkroom.database.read(lambda c: c.execute(statement).scalars().all()))
    assert actors == {str(darkroom.owner_id), processing.ACTOR}


def test_a_photo_costs_two_transactions_of_one_statement_each(darkroom: Darkroom) -> None:
    media = darkroom.upload()
    with count_statements(darkroom.database) as traffic:
        process(darkroom, media)
    assert (traffic.commits, len(traffic.statements), traffic.rollbacks) == (2, 2, 0)


# Events that come twice, late, early or for nothing


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


# Files that are not what they seem


@pytest.mark.parametrize(
    ("content_type", "make"), photos.HOSTILE.values(), ids=photos.HOSTILE.keys()
)
def test_a_hostile_file_is_rejected_and_nothing_published(
    darkroom: Darkroom, content_type: str, make: Callable[[], bytes], s3: LocalS3
) -> None:
    content = make()
    assert len(content) <= MAX_PHOTO_BYTES
    media = darkroom.upload(content, content_type=content_type)
    process(darkroom, media)

    row = darkroom.row(media)
    assert row["state"] == "rejected"
    assert row["rejected_reason"].isupper()
    assert row["variants"] == {}
    assert darkroom.variants() == {}
    assert darkroom.stored_originals() == {media.object_key: content}
    assert httpx.get(f"{s3.endpoint}/{ORIGINALS}/{media.object_key}").status_code == 403


@pytest.mark.parametrize(
    ("content", "announced", "reason"),
    [
        (b"\xff\xd8 shorter", {"size": 100}, "SIZE_MISMATCH"),
        (b"x" * 101, {"size": 100}, "SIZE_MISMATCH"),
        (b"x" * 100, {"size": 100, "sha256": bytes(32)}, "CHECKSUM_MISMATCH"),
        (b"x" * (MAX_PHOTO_BYTES + 1), {"size": 100}, "SIZE_MISMATCH"),
        (bytes(1) * (MAX_FILE_BYTES + 1), {"size": 100}, "TOO_LARGE"),
        (b"", {"size": 100}, "SIZE_MISMATCH"),
    ],
    ids=["shorter", "longer", "other bytes", "over a photo's limit", "over all limits", "empty"],
)
def test_a_file_other_than_announced_is_rejected(
    darkroom: Darkroom, content: bytes, announced: dict[str, Any], reason: str
) -> None:
    media = darkroom.upload(content, **announced)
    process(darkroom, media)
    row = darkroom.row(media)
    assert (row["state"], row["rejected_reason"]) == ("rejected", reason)
    assert darkroom.variants() == {}
    assert darkroom.stored_originals() == {media.object_key: content}


def test_a_photo_with_the_announced_checksum_becomes_ready(darkroom: Darkroom) -> None:
    content = photos.small_png()
    media = darkroom.upload(
        content, content_type="image/png", sha256=bytes.fromhex(sha256(content))
    )
    process(darkroom, media)
    assert darkroom.row(media)["state"] == "ready"


# Faults in the middle


@pytest.mark.parametrize("mode", ["down", "error"])
def test_storage_lost_between_the_variants_is_retried_and_heals(
    darkroom: Darkroom, interrupted: Interrupted, mode: Any
) -> None:
    media = darkroom.upload()

    def lose_storage(key: str) -> None:
        if key.endswith("ai.jpg"):
            darkroom.s3.faults.set("s3", mode, 60)

    interrupted.before = lose_storage
    with pytest.raises(Unavailable):
        process(darkroom, media, interrupted)
    assert_unclaimed(darkroom, media)

    darkroom.s3.faults.set("s3", mode, 0)
    process(darkroom, media)
    assert darkroom.row(media)["state"] == "ready"
    assert len(darkroom.variants()) == 2


def test_storage_down_from_the_start_is_retried_and_heals(darkroom: Darkroom) -> None:
    media = darkroom.upload()
    darkroom.s3.faults.set("s3", "down", 60)
    with pytest.raises(Unavailable):
        process(darkroom, media)
    darkroom.s3.faults.set("s3", "down", 0)
    process(darkroom, media)
    assert darkroom.row(media)["state"] == "ready"


def test_killed_between_publishing_and_finishing_the_next_run_makes_it_ready(
    darkroom: Darkroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    media = darkroom.upload()

    def killed(*_: object) -> bool:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(store, "finish", killed)
        with pytest.raises(Killed):
            process(darkroom, media)
    published = darkroom.variants()
    assert (darkroom.row(media)["state"], len(published)) == ("processing", 2)

    with pytest.raises(Unavailable):  # it may still be at work
        process(darkroom, media)
    end_lease(darkroom, media)
    process(darkroom, media)
    assert darkroom.row(media)["state"] == "ready"
    assert darkroom.variants() == published


@pytest.fixture
def deadly(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Rendering ends the process, out of memory or of time; yields what was tried."""
    tried: list[bytes] = []

    def killed(source: bytes, *_how: object) -> None:
        tried.append(source)
        raise Killed

    monkeypatch.setattr("uploads.photo.render_variants", killed)
    return tried


def kill(darkroom: Darkroom, media: Media, times: int) -> None:
    for _ in range(times):
        with pytest.raises(Killed):
            process(darkroom, media)
        end_lease(darkroom, media)


def test_a_file_that_kills_every_run_is_rejected_and_not_touched_again(
    darkroom: Darkroom, deadly: list[bytes]
) -> None:
    media = darkroom.upload()
    kill(darkroom, media, processing.MAX_ATTEMPTS)
    assert darkroom.row(media)["state"] == "processing"

    process(darkroom, media)

    row = darkroom.row(media)
    assert (row["state"], row["rejected_reason"]) == ("rejected", "PROCESSING_FAILED")
    assert len(deadly) == processing.MAX_ATTEMPTS == 5
    process(darkroom, media)
    assert darkroom.row(media) == row


def test_a_file_whose_last_try_succeeds_is_ready(
    darkroom: Darkroom, deadly: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    media = darkroom.upload()
    kill(darkroom, media, processing.MAX_ATTEMPTS - 1)
    monkeypatch.undo()
    process(darkroom, media)
    assert darkroom.row(media)["state"] == "ready"


def assert_unclaimed(darkroom: Darkroom, media: Media) -> None:
    row = darkroom.row(media)
    assert (row["state"], row["processing_attempts"]) == ("pending", 0)


class Refusing(S3Storage):
    """Storage that refuses for good, as with a permission that is missing."""

    @override
    def read(self, key: str, *, max_bytes: int) -> bytes:
        raise StorageError("GET: AccessDenied")


class Mistaken(S3Storage):
    """A release of ours with a bug in it."""

    @override
    def read(self, key: str, *, max_bytes: int) -> bytes:
        raise RuntimeError("a bug")


@pytest.mark.parametrize(
    ("fault", "storage", "error"),
    [
        ("down", S3Storage, Unavailable),
        ("refusing", Refusing, StorageError),
        ("bug", Mistaken, RuntimeError),
    ],
)
def test_what_the_process_lives_through_however_often_is_not_the_photos_fault(
    darkroom: Darkroom,
    s3: LocalS3,
    fault: str,
    storage: type[S3Storage],
    error: type[Exception],
) -> None:
    media = darkroom.upload()
    if fault == "down":
        s3.faults.set("s3", "down", 60)
    for _ in range(12):
        with pytest.raises(error):
            process_upload(
                darkroom.database,
                storage(s3.place(ORIGINALS), s3.credentials),
                darkroom.published,
                media.object_key,
            )
        assert_unclaimed(darkroom, media)

    s3.faults.set("s3", "down", 0)
    process(darkroom, media)
    assert darkroom.row(media)["state"] == "ready"


def test_a_run_whose_time_is_over_still_gives_its_claim_back(
    darkroom: Darkroom, interrupted: Interrupted, monkeypatch: pytest.MonkeyPatch
) -> None:
    media = darkroom.upload()
    now = [time.monotonic()]
    monkeypatch.setattr(deadline, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def take_long(_key: str) -> None:
        now[0] += 31

    interrupted.before = take_long
    with deadline.within(30), pytest.raises(Unavailable, match="too long"):
        process(darkroom, media, interrupted)
    assert_unclaimed(darkroom, media)


# Another file under the same key


def photos_of_one_length() -> tuple[bytes, bytes]:
    """Two photos; what fills up the shorter stands behind its end, where nothing is looked at."""
    one, other = photos.small_jpeg(), photos.encoded(photos.scene(320, 240).rotate(180), "JPEG")
    length = max(len(one), len(other))
    return one.ljust(length, b"\0"), other.ljust(length, b"\0")


def assert_all_of_it_is_of(darkroom: Darkroom, media: Media, content: bytes) -> None:
    """State, digest, described sizes and published bytes belong to this one original."""
    row = darkroom.row(media)
    assert (row["state"], row["sha256"]) == ("ready", sha256(content))
    rendered = render_variants(content, "image/jpeg")
    assert {name: described["bytes"] for name, described in row["variants"].items()} == {
        name: len(variant.body) for name, variant in rendered.items()
    }
    assert darkroom.variants() == {
        row["variants"][name]["key"]: variant.body for name, variant in rendered.items()
    }


@pytest.mark.parametrize("when", ["before web", "after web", "after ai"])
def test_a_second_put_during_the_run_of_the_first_changes_nothing(
    darkroom: Darkroom, interrupted: Interrupted, database_url: str, when: str
) -> None:
    first, second = photos_of_one_length()
    media = darkroom.upload(first)
    moment, _, name = when.partition(" ")
    refused: list[Unavailable] = []

    def put_and_announce(key: str) -> None:
        if key.endswith(f"{name}.jpg"):
            darkroom.store(media, second)
            with (
                closing(Database(lambda: parse_url(database_url, "the test"))) as others,
                pytest.raises(Unavailable) as caught,
            ):
                process_upload(others, darkroom.originals, darkroom.published, media.object_key)
            refused.append(caught.value)

    setattr(interrupted, moment, put_and_announce)
    process(darkroom, media, interrupted)
    assert len(refused) == 1
    assert_all_of_it_is_of(darkroom, media, first)
    process(darkroom, media)  # the second event comes back
    assert_all_of_it_is_of(darkroom, media, first)


@pytest.mark.parametrize("ending", [Killed, Unavailable], ids=["killed", "storage lost"])
@pytest.mark.parametrize("written", ["web", "ai"])
def test_a_second_put_after_a_run_that_did_not_finish_is_what_counts(
    darkroom: Darkroom, interrupted: Interrupted, ending: type[BaseException], written: str
) -> None:
    first, second = photos_of_one_length()
    media = darkroom.upload(first)

    def put_and_end(key: str) -> None:
        if key.endswith(f"{written}.jpg"):
            darkroom.store(media, second)
            raise ending("here")

    interrupted.after = put_and_end
    with pytest.raises(ending):
        process(darkroom, media, interrupted)
    assert darkroom.variants(), "the first photo left something behind"
    if ending is Killed:
        end_lease(darkroom, media)
    process(darkroom, media)
    assert_all_of_it_is_of(darkroom, media, second)


# Deleted meanwhile


@pytest.mark.parametrize("where", ["before web", "after web", "after ai"])
def test_deleted_while_processing_no_variants_are_left(
    darkroom: Darkroom, interrupted: Interrupted, database_url: str, where: str
) -> None:
    media = darkroom.upload()
    when, _, name = where.partition(" ")

    def delete_now(key: str) -> None:
        if key.endswith(f"{name}.jpg"):
            with closing(Database(lambda: parse_url(database_url, "the test"))) as phones:
                delete(darkroom, media, phones)

    setattr(interrupted, when, delete_now)
    process(darkroom, media, interrupted)
    assert row_of(darkroom.database, media.id) is None
    assert darkroom.variants() == {}
    assert darkroom.stored_originals() == {}


@pytest.mark.parametrize("killed_after", ["web", "ai"])
def test_deleted_while_processing_and_then_killed_the_next_run_clears_up(
    darkroom: Darkroom, interrupted: Interrupted, database_url: str, killed_after: str
) -> None:
    media = darkroom.upload()

    def delete_first(key: str) -> None:
        if key.endswith("web.jpg"):
            with closing(Database(lambda: parse_url(database_url, "the test"))) as phones:
                delete(darkroom, media, phones)

    def kill_now(key: str) -> None:
        if key.endswith(f"{killed_after}.jpg"):
            raise Killed

    interrupted.before, interrupted.after = delete_first, kill_now
    with pytest.raises(Killed):
        process(darkroom, media, interrupted)
    assert darkroom.variants(), "the dead run left something behind"

    process(darkroom, media)
    assert darkroom.variants() == {}


def test_deleted_after_it_was_ready_nothing_is_left(darkroom: Darkroom) -> None:
    media = darkroom.upload(folder=Folder.CLIENT_DOCUMENTS)
    process(darkroom, media)
    assert len(darkroom.variants()) == 2
    delete(darkroom, media)
    assert (darkroom.variants(), darkroom.stored_originals()) == ({}, {})


def test_hidden_but_not_yet_removed_its_event_publishes_nothing(darkroom: Darkroom) -> None:
    media = darkroom.upload()
    darkroom.database.transact(lambda connection: store.hide(connection, media.id, None))
    process(darkroom, media)
    assert darkroom.variants() == {}
    assert darkroom.row(media)["state"] == "pending"
