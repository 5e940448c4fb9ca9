"""What admins set of variants, and what of it is made of photos."""

import io
from dataclasses import replace

import pytest
from PIL import Image

from fieldgate.configuration import REGISTRY
from fieldgate.configuration.registry import LONGEST_SIDE
from tests import photos
from uploads.photo import LOWEST_QUALITY, Variant, render_variants
from uploads.variant_forms import Form, Forms

NORMAL = Forms()


def size_of(variant: Variant) -> tuple[int, int]:
    with Image.open(io.BytesIO(variant.body), formats=["JPEG"]) as picture:
        picture.load()
        assert picture.size == (variant.width, variant.height)
        return picture.size


def tables(body: bytes) -> object:
    with Image.open(io.BytesIO(body)) as picture:
        return picture.quantization  # type: ignore[attr-defined]


def of_quality(quality: int) -> object:
    return tables(photos.encoded(Image.new("RGB", (8, 8)), "JPEG", quality=quality))


def test_without_any_forms_they_are_the_usual_ones() -> None:
    source = photos.small_jpeg()
    assert render_variants(source, "image/jpeg") == render_variants(source, "image/jpeg", NORMAL)


def test_the_same_forms_give_the_same_bytes_and_others_give_others() -> None:
    source = photos.small_jpeg()
    forms = replace(NORMAL, web=Form((90, 90), 60))
    first = render_variants(source, "image/jpeg", forms)
    assert render_variants(source, "image/jpeg", forms) == first
    usual = render_variants(source, "image/jpeg")
    assert (first["web"] == usual["web"], first["ai"] == usual["ai"]) == (False, True)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    ("box", "size"),
    [((200, 200), (200, 150)), ((16, 4096), (16, 12)), ((1000, 750), (1000, 750)),
     ((4096, 4096), (1200, 900))],
)  # fmt: skip
def test_each_variant_fits_the_box_that_is_set(
    image_format: str, box: tuple[int, int], size: tuple[int, int]
) -> None:
    source = photos.encoded(photos.scene(1200, 900), image_format)
    for forms, name in (
        (replace(NORMAL, web=Form(box, 85)), "web"),
        (replace(NORMAL, ai=Form(box, 70)), "ai"),
    ):
        made = render_variants(source, f"image/{image_format.lower()}", forms)
        assert size_of(made[name]) == size


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_box_is_meant_as_the_picture_is_looked_at(orientation: int) -> None:
    source = photos.encoded(
        photos.scene(400, 300), "JPEG", exif=photos.exif_with_orientation(orientation)
    )
    forms = Forms(Form((100, 400), 85), Form((400, 50), 70))
    made = render_variants(source, "image/jpeg", forms)
    upright = (400, 300) if orientation < 5 else (300, 400)
    assert size_of(made["web"]) == (100, 75 if orientation < 5 else 133)
    assert size_of(made["ai"])[1] == 50
    assert made["ai"].width == round(50 * upright[0] / upright[1])


@pytest.mark.parametrize("quality", [30, 39, 40, 62, 95])
def test_a_variant_that_fits_has_the_quality_that_is_set(quality: int) -> None:
    made = render_variants(
        photos.small_jpeg(), "image/jpeg", Forms(Form((90, 90), quality), Form((90, 90), quality))
    )
    assert {name: tables(variant.body) for name, variant in made.items()} == {
        "web": of_quality(quality),
        "ai": of_quality(quality),
    }


def test_what_has_too_many_bytes_loses_quality_and_then_size() -> None:
    source = photos.noise_jpeg()
    box, full = (400, 300), []
    for most_bytes in (None, 40_000, 20_000):
        forms = replace(NORMAL, ai=Form(box, 95, most_bytes))
        full.append(render_variants(source, "image/jpeg", forms)["ai"])
    free, less, least = full
    assert len(free.body) > 40_000 >= len(less.body)
    assert (less.width, less.height) == box
    assert tables(less.body) != of_quality(95)
    assert len(least.body) <= 20_000
    assert least.width < box[0]


@pytest.mark.parametrize("quality", [30, 95])
def test_the_fewest_bytes_that_can_be_set_can_be_reached(quality: int) -> None:
    fewest = int(REGISTRY["AI_IMAGE_MAX_SIZE_MB"].least * 1_000_000)
    for box in ((LONGEST_SIDE, LONGEST_SIDE), (16, LONGEST_SIDE), (LONGEST_SIDE, 16)):
        forms = replace(NORMAL, ai=Form(box, quality, fewest))
        made = render_variants(photos.noise_jpeg(), "image/jpeg", forms)["ai"]
        assert 0 < len(made.body) <= fewest


def test_the_least_quality_that_can_be_set_is_not_raised() -> None:
    forms = replace(NORMAL, ai=Form((600, 600), 30, 20_000))
    made = render_variants(photos.noise_jpeg(), "image/jpeg", forms)["ai"]
    assert LOWEST_QUALITY > 30
    assert tables(made.body) == of_quality(30)
