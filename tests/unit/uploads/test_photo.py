"""What becomes of an uploaded photo: its variants, upright and small."""

import io
import struct
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from tests import photos
from tests.support.pictures import as_web_jpeg, difference, opened, pixel
from uploads.photo import render_variants
from uploads.photo_formats import read_photo_file

# Sizes and bytes ----------------------------------------------------------------------------


def test_a_camera_photo_gives_upright_web_and_ai_variants() -> None:
    variants = render_variants(photos.camera_jpeg(), "image/jpeg")

    assert set(variants) == {"web", "ai"}
    assert (variants["web"].width, variants["web"].height) == (375, 500)
    assert (variants["ai"].width, variants["ai"].height) == (450, 600)
    for name, variant in variants.items():
        assert variant.name == name
        assert variant.content_type == "image/jpeg"
        assert opened(variant).size == (variant.width, variant.height)
        assert opened(variant).mode == "RGB"


@pytest.mark.parametrize(
    ("size", "web", "ai"),
    [
        ((1, 1), (1, 1), (1, 1)),
        ((500, 500), (500, 500), (500, 500)),
        ((501, 500), (500, 499), (501, 500)),
        ((800, 600), (500, 375), (800, 600)),
        ((600, 800), (375, 500), (450, 600)),
        ((1601, 1203), (500, 376), (799, 600)),
        ((3000, 20), (500, 3), (800, 5)),
        ((3000, 1), (500, 1), (800, 1)),
        ((1, 3000), (1, 500), (1, 600)),
    ],
)
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_variants_fit_their_box_keep_the_shape_and_are_never_enlarged(
    size: tuple[int, int], web: tuple[int, int], ai: tuple[int, int], image_format: str
) -> None:
    source = photos.encoded(Image.new("RGB", size, "green"), image_format)

    variants = render_variants(source, f"image/{image_format.lower()}")

    assert (variants["web"].width, variants["web"].height) == web
    assert (variants["ai"].width, variants["ai"].height) == ai


def test_even_pure_noise_gives_an_ai_variant_of_at_most_100_000_bytes() -> None:
    variant = render_variants(photos.noise_jpeg(), "image/jpeg")["ai"]

    assert 50_000 < len(variant.body) <= 100_000
    assert variant.width < 800  # quality alone was not enough
    assert variant.width / variant.height == pytest.approx(4 / 3, abs=0.01)


def test_a_photo_that_fits_keeps_the_wanted_qualities() -> None:
    variants = render_variants(photos.small_jpeg(), "image/jpeg")

    for name, quality in (("web", 85), ("ai", 70)):
        same_quality = photos.encoded(Image.new("RGB", (8, 8)), "JPEG", quality=quality)
        with Image.open(io.BytesIO(same_quality)) as expected:
            tables = expected.quantization  # type: ignore[attr-defined]
        assert opened(variants[name]).quantization == tables  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("source", "content_type"),
    [
        (photos.small_jpeg(), "image/jpeg"),
        (photos.small_png(), "image/png"),
        (photos.small_webp(), "image/webp"),
    ],
)
def test_the_same_bytes_give_the_same_bytes(
    source: bytes, content_type: str, tmp_path: Path
) -> None:
    first = render_variants(source, content_type)
    path = tmp_path / "photo"
    path.write_bytes(source)

    assert render_variants(source, content_type) == first
    assert render_variants(memoryview(source), content_type) == first
    assert render_variants(path, content_type) == first


@pytest.mark.parametrize("size", [(2003, 1507), (3999, 2999), (1201, 3203)])
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_the_shortcuts_of_decoding_do_not_show(size: tuple[int, int], image_format: str) -> None:
    source = photos.encoded(photos.scene(*size), image_format, compress_level=1, method=0)

    made = opened(render_variants(source, f"image/{image_format.lower()}")["web"])

    with Image.open(io.BytesIO(source)) as whole:
        slow = whole.convert("RGB").resize(made.size, Image.Resampling.LANCZOS)
    assert difference(made, as_web_jpeg(slow)) < 2


# Orientation --------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_every_orientation_comes_out_upright(orientation: int, image_format: str) -> None:
    exif = photos.exif_with_orientation(orientation)
    source = photos.encoded(photos.scene(320, 200), image_format, exif=exif)

    made = opened(render_variants(source, f"image/{image_format.lower()}")["web"])

    with Image.open(io.BytesIO(source)) as stored:
        upright = as_web_jpeg(ImageOps.exif_transpose(stored).convert("RGB"))
    assert difference(made, upright) < 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_sample_photo_stands_upright_however_the_phone_was_held(orientation: int) -> None:
    source = photos.camera_jpeg(1600, 1200, orientation=orientation)

    made = opened(render_variants(source, "image/jpeg")["ai"])

    assert made.size == ((450, 600) if orientation >= 5 else (800, 600))
    sky = pixel(made, made.width // 2, made.height // 20)
    assert sky[2] > 150, "the sky is at the top"
    sun = pixel(made, int(made.width * 0.12), int(made.height * 0.11))
    assert sun[0] > 200, "the sun is at the top left"
    assert sun[2] < 120, "the sun is at the top left"


@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize(("value", "upright"), [(0, True), (6, False), (9, True), (65_535, True)])
def test_orientation_is_read_in_both_byte_orders_and_nonsense_means_upright(
    byte_order: str, value: int, upright: bool
) -> None:
    tiff = {"<": b"II*\0", ">": b"MM\0*"}[byte_order]
    tiff += struct.pack(byte_order + "IHHHIHHI", 8, 1, 0x0112, 3, 1, value, 0, 0)
    jpeg = photos.encoded(photos.scene(80, 60), "JPEG")
    source = photos.with_segments(jpeg, photos.jpeg_segment(0xE1, b"Exif\0\0" + tiff))

    variant = render_variants(source, "image/jpeg")["web"]

    assert (variant.width, variant.height) == ((80, 60) if upright else (60, 80))
    assert read_photo_file(source, "image/jpeg").orientation == (1 if upright else value)
