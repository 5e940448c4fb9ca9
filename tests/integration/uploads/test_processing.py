"""From S3's event to finished variants: what comes of a good photo, and of what is none."""

import io
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from PIL import Image
from sqlalchemy import select

from fieldgate.db.tables.all import change_log
from tests import photos
from tests.support.database import count_statements
from tests.support.media import Darkroom, sha256
from tests.support.processing import (
    history,
    process,
)
from tests.support.s3 import MEDIA, ORIGINALS, LocalS3
from uploads import processing
from uploads.file_rules import MAX_FILE_BYTES, MAX_PHOTO_BYTES

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
