"""What admins have set of photos counts for the next one, and for none that is finished."""

import io
from typing import Any
from uuid import UUID

import pytest
from PIL import Image
from sqlalchemy import Connection, insert

from fieldgate import configuration, two_level_cache
from fieldgate.configuration.registry import LONGEST_SIDE
from fieldgate.db.engine import Database
from fieldgate.db.tables.configuration import configuration as table
from tests import photos
from tests.support.gateway import call, signed_in
from tests.support.media import Darkroom
from uploads import presign_upload
from uploads.image_configuration import forms_in_force, most_photo_bytes
from uploads.processing import process_upload
from uploads.variant_forms import Form, Forms

MIB = 1024 * 1024


def configure(database: Database, **values: Any) -> None:
    """Set keys, as `set_config` does."""

    def write(connection: Connection) -> None:
        for key, value in values.items():
            connection.execute(insert(table).values(key=key, value=value))

    database.transact(write)
    two_level_cache.renew(configuration.REGION)


def process(darkroom: Darkroom, content: bytes) -> dict[str, Any]:
    """Bring a photo to `ready`, and return what the row says of its variants."""
    media = darkroom.upload(content)
    process_upload(darkroom.database, darkroom.originals, darkroom.published, media.object_key)
    row = darkroom.row(media)
    assert row["state"] == "ready"
    described: dict[str, Any] = row["variants"]
    return described


def sizes(described: dict[str, Any]) -> dict[str, tuple[int, int]]:
    return {name: (one["width"], one["height"]) for name, one in described.items()}


def test_until_somebody_sets_something_the_forms_are_the_usual_ones(deployed: Database) -> None:
    assert forms_in_force() == Forms()
    assert most_photo_bytes() == 5 * MIB


def test_everything_that_is_set_counts(deployed: Database) -> None:
    configure(
        deployed,
        IMAGE_MAX_WIDTH=640,
        IMAGE_MAX_HEIGHT=480,
        IMAGE_RESIZE_QUALITY=80,
        AI_IMAGE_MAX_WIDTH=320,
        AI_IMAGE_MAX_HEIGHT=240,
        AI_IMAGE_QUALITY=55,
        AI_IMAGE_MAX_SIZE_MB=0.03,
        IMAGE_MAX_SIZE_MB=0.5,
    )
    assert forms_in_force() == Forms(Form((640, 480), 80), Form((320, 240), 55, 30_000))
    assert most_photo_bytes() == MIB // 2


def test_what_is_set_counts_for_the_next_photo_and_for_none_that_is_finished(
    darkroom: Darkroom, deployed: Database
) -> None:
    photo = photos.encoded(photos.scene(1200, 900), "JPEG")
    assert sizes(process(darkroom, photo)) == {"web": (500, 375), "ai": (800, 600)}
    published = darkroom.variants()

    configure(deployed, IMAGE_MAX_WIDTH=200, AI_IMAGE_MAX_HEIGHT=300)

    assert sizes(process(darkroom, photo)) == {"web": (200, 150), "ai": (400, 300)}
    assert published.items() <= darkroom.variants().items()


def test_without_resizing_a_picture_keeps_its_size(darkroom: Darkroom, deployed: Database) -> None:
    configure(deployed, IMAGE_ENABLE_AUTO_RESIZE=False)
    described = process(darkroom, photos.encoded(photos.scene(1200, 900), "JPEG"))
    assert sizes(described) == {"web": (1200, 900), "ai": (800, 600)}


def test_without_optimising_a_picture_for_models_keeps_size_and_bytes(
    darkroom: Darkroom, deployed: Database
) -> None:
    configure(deployed, AI_IMAGE_OPTIMIZATION=False, AI_IMAGE_QUALITY=95)
    described = process(darkroom, photos.noise_jpeg())
    with Image.open(io.BytesIO(photos.noise_jpeg())) as noise:
        assert sizes(described)["ai"] == noise.size
    assert described["ai"]["bytes"] > 100_000
    assert max(sizes(described)["web"]) == 500


def test_there_is_a_largest_size_all_the_same(darkroom: Darkroom, deployed: Database) -> None:
    configure(deployed, IMAGE_ENABLE_AUTO_RESIZE=False, AI_IMAGE_OPTIMIZATION=False)
    wide = photos.encoded(Image.new("RGB", (2 * LONGEST_SIDE, 100), "green"), "JPEG")
    assert sizes(process(darkroom, wide)) == {"web": (LONGEST_SIDE, 50), "ai": (LONGEST_SIDE, 50)}


@pytest.mark.parametrize(("megabytes", "most"), [(0.1, 104_857), (5, 5 * MIB), (50, 50 * MIB)])
def test_a_photo_in_one_request_has_the_size_that_is_set(
    deployed: Database, owner_id: UUID, megabytes: float, most: int
) -> None:
    configure(deployed, IMAGE_MAX_SIZE_MB=megabytes)

    def presigned(size: int) -> Any:
        return call(
            presign_upload.handler,
            "POST",
            "/api/v1/uploads/presign",
            content={
                "folder": "farmers",
                "filename": "leaf.jpg",
                "contentType": "image/jpeg",
                "size": size,
            },
            authorizer=signed_in(owner_id, permissions=["media:write"]),
        )

    assert presigned(most).status == 201
    answer = presigned(most + 1)
    assert (answer.status, answer.error["message"]) == (
        413,
        f"A photo may be {most} bytes at most.",
    )
