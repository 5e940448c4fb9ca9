"""The colours of a photo are those of its variants."""

import pytest
from PIL import Image

from tests import photos
from tests.support.pictures import difference, opened, pixel
from uploads.photo import render_variants


def test_a_wide_gamut_photo_is_converted_to_srgb() -> None:
    plain = photos.jpeg_with_profile(b"")
    wide = photos.jpeg_with_profile(photos.display_p3_profile())

    as_srgb = pixel(opened(render_variants(plain, "image/jpeg")["web"]), 30, 30)
    converted = pixel(opened(render_variants(wide, "image/jpeg")["web"]), 30, 30)

    assert as_srgb == pytest.approx((40, 220, 60), abs=4)
    # The same numbers in Display P3 are a purer green than sRGB can show: red is cut off.
    assert converted[0] < 10
    assert converted[1] >= 220


@pytest.mark.parametrize(
    "profile",
    [
        photos.srgb_profile(),
        b"not a profile",
        photos.display_p3_profile()[:200],
        photos.display_p3_profile().replace(b"RGB XYZ ", b"CMYKLab "),
        b"x" * 2_000_000,
    ],
    ids=["sRGB", "text", "cut short", "of another colour space", "too large"],
)
def test_an_srgb_broken_or_foreign_profile_leaves_the_colours_alone(profile: bytes) -> None:
    source = photos.jpeg_with_profile(profile)

    made = opened(render_variants(source, "image/jpeg")["web"])

    assert made.getpixel((30, 30)) == pytest.approx((40, 220, 60), abs=4)


def test_the_profile_of_a_png_and_of_a_webp_is_applied() -> None:
    patch = Image.new("RGB", (64, 64), (40, 220, 60))
    for image_format in ("PNG", "WEBP"):
        source = photos.encoded(
            patch, image_format, icc_profile=photos.display_p3_profile(), lossless=True
        )
        made = opened(render_variants(source, f"image/{image_format.lower()}")["web"])
        assert pixel(made, 30, 30)[0] < 10


def test_cmyk_keeps_its_colours() -> None:
    made = opened(render_variants(photos.cmyk_jpeg(), "image/jpeg")["ai"])

    assert difference(made, photos.scene(640, 480)) < 9


def test_a_sixteen_bit_ramp_still_runs_from_black_to_white() -> None:
    made = opened(render_variants(photos.sixteen_bit_png(), "image/png")["ai"])

    levels = [made.getpixel((128, y)) for y in (0, 64, 128, 192, 255)]
    for level, expected in zip(levels, (0, 64, 128, 192, 255), strict=True):
        assert level == pytest.approx((expected,) * 3, abs=4)


def test_transparency_becomes_white() -> None:
    made = opened(render_variants(photos.palette_with_alpha_png(), "image/png")["ai"])

    assert made.getpixel((5, 20)) == pytest.approx((255, 0, 0), abs=4)
    assert made.getpixel((55, 20)) == pytest.approx((255, 255, 255), abs=4)


@pytest.mark.parametrize("scale", [1, 40], ids=["small", "reduced"])
@pytest.mark.parametrize(
    ("mode", "ink"),
    [
        ("1", 255),
        ("L", 255),
        ("LA", (0, 0)),
        ("P", 0),
        ("RGB", (255, 255, 255)),
        ("RGBA", (0, 0, 0, 0)),
        ("I;16", 65_535),
    ],
)
@pytest.mark.parametrize("transparent", [False, True])
def test_every_kind_of_png_pixel_can_become_white(
    mode: str, ink: int | tuple[int, ...], transparent: bool, scale: int
) -> None:
    picture = Image.new(mode, (60 * scale, 40 * scale), ink)
    options: dict[str, object] = {}
    if mode == "P":
        picture.putpalette([255, 255, 255])
    if transparent and mode in {"1", "L", "P", "RGB", "I;16"}:
        options["transparency"] = ink

    variants = render_variants(photos.encoded(picture, "PNG", **options), "image/png")

    assert opened(variants["web"]).getpixel((30, 20)) == (255, 255, 255)


@pytest.mark.parametrize("image_format", ["PNG", "WEBP"])
def test_invisible_colours_do_not_bleed_into_what_is_seen(image_format: str) -> None:
    picture = Image.new("RGBA", (4000, 400), (0, 0, 0, 0))
    for x in range(0, 4000, 2):
        picture.paste((255, 255, 255, 255), (x, 0, x + 1, 400))

    source = photos.encoded(picture, image_format, lossless=True, exact=True)

    made = opened(render_variants(source, f"image/{image_format.lower()}")["web"])

    assert made.getextrema() == ((255, 255), (255, 255), (255, 255))
