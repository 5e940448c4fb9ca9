"""From S3's event to finished variants, with all that can go wrong on the way."""

import io
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, override
from uuid import UUID

import httpx
import pytest
from PIL import Image
from sqlalchemy import Connection, select

from fieldgate.db.engine import Database
from fieldgate.db.tables import change_log
from fieldgate.db.url import parse_url
from fieldgate.errors import Unavailable
from fieldgate.storage.s3 import S3Storage
from tests import photos
from tests.support.database import count_statements
from tests.support.log import Log
from tests.support.media import Darkroom, row_of, sha256
from tests.support.s3 import MEDIA, ORIGINALS, LocalS3
from uploads import processing, store
from uploads.deleting import delete_media
from uploads.file_rules import MAX_PHOTO_BYTES, Folder
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
        darkroom.originals,
        darkroom.published,
        media.id,
        actor_id=darkroom.owner_id,
        owner_id=darkroom.owner_id,
    )


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
        assert head["CacheControl"] == "private, max-age=31536000, immutable"


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


def test_events_at_the_same_time_end_in_one_ready_and_the_same_bytes(
    darkroom: Darkroom, database_url: str, s3: LocalS3
) -> None:
    """Four runs that have all claimed the media before the first of them goes on."""
    content = photos.camera_jpeg(1000, 750, orientation=3)
    alone = darkroom.upload(content)
    process(darkroom, alone)
    expected = {
        key.rpartition("/")[2]: body
        for key, body in darkroom.variants().items()
        if str(alone.id) in key
    }
    media = darkroom.upload(content)
    everyone_claimed = threading.Barrier(4, timeout=30)

    class Waiting(S3Storage):
        @override
        def read(self, key: str, *, max_bytes: int) -> bytes:
            everyone_claimed.wait()
            return super().read(key, max_bytes=max_bytes)

    def run() -> None:
        with closing(Database(lambda: parse_url(database_url, "the test"))) as own_database:
            process_upload(
                own_database,
                Waiting(s3.place(ORIGINALS), s3.credentials),
                S3Storage(s3.place(MEDIA), s3.credentials),
                media.object_key,
            )

    with ThreadPoolExecutor(4) as threads:
        for outcome in [threads.submit(run) for _ in range(4)]:
            outcome.result()

    assert history(darkroom, media.id) == ["pending", "processing", "ready"]
    found = {
        key.rpartition("/")[2]: body
        for key, body in darkroom.variants().items()
        if str(media.id) in key
    }
    assert found == expected


@pytest.mark.parametrize("reached", ["pending", "ready", "rejected"])
@pytest.mark.parametrize("late", ["finish", "reject", "release"])
def test_a_run_that_comes_too_late_does_not_overturn_what_was_decided(
    darkroom: Darkroom, reached: str, late: str
) -> None:
    media = darkroom.upload(b"not a photo" if reached == "rejected" else None)
    if reached != "pending":
        process(darkroom, media)
    before = darkroom.row(media)
    assert before["state"] == reached
    steps: dict[str, Callable[[Connection], object]] = {
        "finish": lambda connection: store.finish(connection, media.id, "0" * 64, {}),
        "reject": lambda connection: store.reject(connection, media.id, "CORRUPT"),
        "release": lambda connection: store.release(connection, media.id),
    }
    assert not darkroom.database.transact(steps[late])
    assert darkroom.row(media) == before


def test_a_late_event_does_not_open_a_rejected_media_again(darkroom: Darkroom) -> None:
    media = darkroom.upload(b"not a photo")
    process(darkroom, media)
    before = darkroom.row(media)
    assert before["state"] == "rejected"
    darkroom.store(media, photos.small_jpeg())
    process(darkroom, media)
    assert darkroom.row(media) == before
    assert darkroom.variants() == {}


def test_an_event_of_a_deleted_media_does_nothing(darkroom: Darkroom) -> None:
    media = darkroom.upload()
    delete(darkroom, media)
    darkroom.store(media, photos.small_jpeg())  # its URL still lives
    process(darkroom, media)
    assert darkroom.variants() == {}
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


def test_an_event_before_the_object_is_there_leaves_the_media_pending(darkroom: Darkroom) -> None:
    media, _ = darkroom.announce()
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
        (b"x" * (MAX_PHOTO_BYTES + 1), {"size": 100}, "TOO_LARGE"),
        (b"", {"size": 100}, "SIZE_MISMATCH"),
    ],
    ids=["shorter", "longer", "other bytes", "over the limit", "empty"],
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
    assert darkroom.row(media)["state"] == "processing"

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

    process(darkroom, media)
    assert darkroom.row(media)["state"] == "ready"
    assert darkroom.variants() == published


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

    def kill(key: str) -> None:
        if key.endswith(f"{killed_after}.jpg"):
            raise Killed

    interrupted.before, interrupted.after = delete_first, kill
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
