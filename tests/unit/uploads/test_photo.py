"""What becomes of an uploaded photo, and of a file that only pretends to be one."""

import contextlib
import dataclasses
import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageOps, ImageStat

from local import sample_photo
from tests import photos
from uploads.photo import PhotoRejected, Reason, Variant, render_variants
from uploads.photo_file import Parts
from uploads.photo_formats import read_photo_file
from uploads.photo_webp import decode_scaled

# Large files cost a second each: what they cost and give is the benchmark's business.
QUICK_ODD = {name: file for name, file in photos.ODD.items() if " MP " not in name}

hostile = pytest.mark.parametrize(
    ("content_type", "make"), photos.HOSTILE.values(), ids=photos.HOSTILE.keys()
)
odd = pytest.mark.parametrize(("content_type", "make"), QUICK_ODD.values(), ids=QUICK_ODD.keys())


def opened(variant: Variant) -> Image.Image:
    picture = Image.open(io.BytesIO(variant.body), formats=["JPEG"])
    picture.load()
    return picture


def pixel(picture: Image.Image, x: int, y: int) -> tuple[int, ...]:
    value = picture.getpixel((x, y))
    assert isinstance(value, tuple)
    return value


def as_web_jpeg(picture: Image.Image) -> Image.Image:
    """The picture with the losses that the `web` variant has by its encoding alone."""
    with Image.open(io.BytesIO(photos.encoded(picture, "JPEG", quality=85))) as encoded:
        encoded.load()
        return encoded


def difference(one: Image.Image, other: Image.Image) -> float:
    """Mean difference of two RGB pictures of one size, in levels of 255."""
    assert one.size == other.size
    return max(ImageStat.Stat(ImageChops.difference(one, other)).mean)


def reason_for(source: bytes, content_type: str) -> str:
    with pytest.raises(PhotoRejected) as rejection:
        render_variants(source, content_type)
    assert str(rejection.value).endswith(".")
    return rejection.value.reason


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


# Metadata -----------------------------------------------------------------------------------


def test_no_metadata_is_left() -> None:
    source = photos.with_segments(
        photos.camera_jpeg(),
        photos.jpeg_segment(0xE2, b"ICC_PROFILE\0\x01\x01" + photos.srgb_profile()),
        photos.jpeg_segment(0xED, b"Photoshop 3.0\x008BIM IPTC by-line"),
    )
    traces = [b"Exif", b"GPS", b"xmp", b"ICC_PROFILE", b"8BIM", sample_photo.COMMENT]
    traces += [sample_photo.MAKE.encode(), sample_photo.MODEL.encode(), b"2026:04:18"]
    assert all(trace in source for trace in traces if trace != b"xmp")

    for variant in render_variants(source, "image/jpeg").values():
        assert not [trace for trace in traces if trace in variant.body]
        assert set(markers(variant.body)) <= {0xE0, 0xDB, 0xC0, 0xC4, 0xDA}
        assert set(opened(variant).info) == {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def test_metadata_that_reached_the_decoder_would_still_not_be_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = photos.camera_jpeg(320, 240, orientation=1)
    checked = read_photo_file(source, "image/jpeg")
    unstripped = dataclasses.replace(checked, pixel_stream=Parts(source))
    monkeypatch.setattr("uploads.photo.read_photo_file", lambda *_: unstripped)

    for variant in render_variants(source, "image/jpeg").values():
        assert set(markers(variant.body)) <= {0xE0, 0xDB, 0xC0, 0xC4, 0xDA}


def test_text_and_profile_of_a_png_and_exif_of_a_webp_are_removed() -> None:
    exif = photos.exif_with_orientation(1)
    png = photos.with_chunks(photos.small_png(), photos.png_chunk(b"tEXt", b"comment\0Mama Njeri"))
    webp = photos.encoded(
        photos.scene(64, 48), "WEBP", exif=exif, icc_profile=photos.srgb_profile()
    )

    for source, content_type in ((png, "image/png"), (webp, "image/webp")):
        for variant in render_variants(source, content_type).values():
            assert set(markers(variant.body)) <= {0xE0, 0xDB, 0xC0, 0xC4, 0xDA}
            assert b"Njeri" not in variant.body


def markers(jpeg: bytes) -> list[int]:
    """The markers up to the scan: APP0, tables and frame are all that a bare JPEG has."""
    found: list[int] = []
    position = 2
    while not found or found[-1] != 0xDA:
        marker, length = struct.unpack_from(">xBH", jpeg, position)
        found.append(marker)
        position += 2 + length
    return found


# Colours ------------------------------------------------------------------------------------


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


# Odd and hostile files ----------------------------------------------------------------------


@odd
def test_odd_files_are_photos_all_the_same(content_type: str, make: Callable[[], bytes]) -> None:
    variants = render_variants(make(), content_type)

    assert variants["web"].width <= 500
    assert variants["ai"].width <= 800
    assert len(variants["ai"].body) <= 100_000


@hostile
def test_hostile_files_are_rejected(content_type: str, make: Callable[[], bytes]) -> None:
    assert reason_for(make(), content_type) in set(Reason)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("zero bytes", "EMPTY"),
        ("text named .jpg", "NOT_AN_IMAGE"),
        ("SVG named .png", "NOT_AN_IMAGE"),
        ("GIF named .png", "NOT_AN_IMAGE"),
        ("HTML after a JPEG's first bytes", "CORRUPT"),
        ("PNG declared as JPEG", "TYPE_MISMATCH"),
        ("truncated JPEG", "CORRUPT"),
        ("truncated PNG", "CORRUPT"),
        ("truncated WebP", "CORRUPT"),
        ("88 MP PNG", "TOO_MANY_PIXELS"),
        ("JPEG claiming 65,500 x 65,500", "TOO_MANY_PIXELS"),
        ("JPEG claiming 8,000 x 6,000", "CORRUPT"),
        ("animated WebP", "ANIMATED"),
        ("animated PNG", "ANIMATED"),
        ("JPEG of 2,000 scans", "TOO_COMPLEX"),
        ("JPEG of 400 hidden scans", "CORRUPT"),
    ],
)
def test_the_reason_tells_what_was_wrong(name: str, reason: str) -> None:
    content_type, make = photos.HOSTILE[name]

    assert reason_for(make(), content_type) == reason


@pytest.mark.parametrize("content_type", ["image/gif", "text/html", "", "IMAGE/JPEG"])
def test_only_the_three_declared_types_are_known(content_type: str) -> None:
    assert reason_for(photos.small_jpeg(), content_type) == Reason.TYPE_MISMATCH


@pytest.mark.parametrize("image_format", ["PNG", "WEBP"])
def test_an_animation_format_holding_one_still_is_a_photo(image_format: str) -> None:
    still = photos.encoded(Image.new("RGB", (8, 8)), image_format, save_all=True)

    assert set(render_variants(still, f"image/{image_format.lower()}")) == {"web", "ai"}


@pytest.mark.parametrize(
    "marker", [0xC3, 0xC9, 0xC5], ids=["lossless", "arithmetic", "hierarchical"]
)
def test_jpeg_processes_no_camera_uses_are_not_decoded(marker: int) -> None:
    source = photos.small_jpeg().replace(b"\xff\xc0\x00\x11", bytes([0xFF, marker]) + b"\x00\x11")

    assert reason_for(source, "image/jpeg") == Reason.UNSUPPORTED_ENCODING


@pytest.mark.parametrize("marker", [0x02, 0x4F, 0xBF])
@pytest.mark.parametrize("where", ["before the frame", "before the end"])
def test_a_reserved_marker_is_corrupt(marker: int, where: str) -> None:
    whole, reserved = photos.small_jpeg(), photos.jpeg_segment(marker, b"abcd")
    assert whole.endswith(b"\xff\xd9")
    with_it = (
        photos.with_segments(whole, reserved)
        if where == "before the frame"
        else whole[:-2] + reserved + whole[-2:]
    )

    assert reason_for(with_it, "image/jpeg") == Reason.CORRUPT


def test_nothing_hides_behind_the_one_marker_that_has_no_length() -> None:
    source = photos.hidden_scan_bomb_jpeg().replace(b"\xff\x02", b"\xff\x01")

    assert reason_for(source, "image/jpeg") == Reason.TOO_COMPLEX


def test_a_progressive_jpeg_of_too_many_coefficients_is_refused_before_decoding() -> None:
    progressive = photos.camera_jpeg(320, 240, orientation=1, progressive=True)
    source = progressive.replace(
        b"\xff\xc2\x00\x11\x08\x00\xf0\x01\x40", b"\xff\xc2\x00\x11\x08\x1b\x58\x23\x28"
    )
    assert source != progressive

    assert reason_for(source, "image/jpeg") == Reason.TOO_MANY_PIXELS


def test_a_png_may_not_unpack_to_more_bytes_than_the_limit() -> None:
    wide_pixels = photos.png_chunk(b"IHDR", struct.pack(">IIBBBBB", 5000, 5000, 16, 6, 0, 0, 0))
    source = b"\x89PNG\r\n\x1a\n" + wide_pixels + photos.small_png()[33:]

    assert reason_for(source, "image/png") == Reason.TOO_MANY_PIXELS


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        ((70_000, 1), "TOO_MANY_PIXELS"),
        ((2**31, 2**31), "TOO_MANY_PIXELS"),
        ((0, 10), "CORRUPT"),
        ((10, 0), "CORRUPT"),
    ],
)
def test_impossible_sides_are_refused(size: tuple[int, int], reason: str) -> None:
    header = photos.png_chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0))
    source = b"\x89PNG\r\n\x1a\n" + header + photos.small_png()[33:]

    assert reason_for(source, "image/png") == reason


@pytest.mark.parametrize(
    ("source", "content_type"),
    [
        (photos.with_segments(photos.small_jpeg(), b"\xff\xfe\x00\x02" * 20_000), "image/jpeg"),
        (
            photos.with_chunks(photos.small_png(), photos.png_chunk(b"tEXt", b"") * 20_000),
            "image/png",
        ),
        (b"RIFF\0\0\0\0WEBP" + photos.small_webp()[12:] + b"JUNK\0\0\0\0" * 20_000, "image/webp"),
    ],
    ids=["JPEG", "PNG", "WebP"],
)
def test_a_file_of_very_many_parts_is_refused(source: bytes, content_type: str) -> None:
    assert reason_for(source, content_type) == Reason.TOO_COMPLEX


def test_metadata_never_reaches_the_decoder() -> None:
    for content_type, make in (
        ("image/jpeg", photos.exif_bomb_jpeg),
        ("image/png", photos.compressed_text_png),
        ("image/png", photos.profile_bomb_png),
    ):
        stream = read_photo_file(make(), content_type).pixel_stream.read()
        assert not [trace for trace in (b"Exif", b"zTXt", b"iCCP") if trace in stream]


def test_what_the_decoder_reads_must_be_what_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    checked = read_photo_file(photos.small_jpeg(), "image/jpeg")
    monkeypatch.setattr(
        "uploads.photo.read_photo_file", lambda *_: dataclasses.replace(checked, width=10)
    )

    assert reason_for(photos.small_jpeg(), "image/jpeg") == Reason.CORRUPT


def test_padding_and_junk_between_jpeg_segments_do_no_harm() -> None:
    source = photos.with_segments(photos.small_jpeg(), b"\xff" * 5000, b"\0" * 5000)

    expected = render_variants(photos.small_jpeg(), "image/jpeg")
    assert render_variants(source, "image/jpeg") == expected


def test_a_libwebp_of_another_interface_is_no_fault_of_the_photo(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("uploads.photo_webp._ABI_VERSION", 0x0900)

    with pytest.raises(RuntimeError, match="libwebp"):
        render_variants(photos.small_webp(), "image/webp")


def test_a_defect_of_ours_is_not_taken_for_a_broken_photo(monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(*_: object) -> None:
        raise TypeError("ours")

    monkeypatch.setattr("uploads.photo._flattened", defect)

    with pytest.raises(TypeError, match="ours"):
        render_variants(photos.small_jpeg(), "image/jpeg")


@given(
    st.lists(st.binary(max_size=6), min_size=1, max_size=6),
    st.lists(st.tuples(st.integers(0, 2), st.integers(-1, 40)), max_size=6),
)
def test_parts_read_like_the_file_that_they_make(
    parts: list[bytes], moves: list[tuple[int, int]]
) -> None:
    made, whole = Parts(parts[0]), io.BytesIO(b"".join(parts))
    for part in parts[1:]:
        made.append(b"<" + part + b">", 1, 1 + len(part))

    for whence, number in moves:
        assert made.read(number) == whole.read(number)
        assert made.tell() == whole.tell()
        assert made.seek(max(number, 0), whence) == whole.seek(max(number, 0), whence)
    assert made.read() == whole.read()


# Whatever the bytes -------------------------------------------------------------------------

whatever = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SEEDS = {
    "image/jpeg": [
        photos.encoded(photos.scene(48, 32), "JPEG", exif=photos.exif_with_orientation(6)),
        photos.encoded(photos.scene(48, 32), "JPEG", progressive=True),
        photos.jpeg_with_profile(photos.display_p3_profile(), photos.scene(48, 32)),
    ],
    "image/png": [
        photos.encoded(photos.scene(48, 32), "PNG", icc_profile=photos.display_p3_profile()),
        photos.palette_with_alpha_png(),
    ],
    "image/webp": [
        photos.encoded(photos.scene(48, 32), "WEBP", exif=photos.exif_with_orientation(6)),
        photos.encoded(photos.scene(48, 32), "WEBP", lossless=True),
    ],
}
MAGIC = {
    "image/jpeg": b"\xff\xd8\xff",
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/webp": b"RIFF\x40\0\0\0WEBPVP8 ",
}
content_types = st.sampled_from(sorted(SEEDS))


@st.composite
def mutated_files(
    draw: st.DrawFn, types: st.SearchStrategy[str] = content_types
) -> tuple[str, bytes]:
    """A real photo with bytes changed, cut out, put in, or cut off."""
    content_type = draw(types)
    source = bytearray(draw(st.sampled_from(SEEDS[content_type])))
    for _ in range(draw(st.integers(1, 4))):
        position = draw(st.integers(0, max(0, len(source) - 1)))
        length = draw(st.sampled_from([0, 1, 1, 2, 8, 400]))
        source[position : position + length] = draw(st.binary(max_size=8))
    return content_type, bytes(source)


@st.composite
def made_up_pngs(draw: st.DrawFn) -> bytes:
    """Chunks with correct checksums and contents that need not fit together."""
    header = struct.pack(
        ">IIBBBBB",
        draw(st.integers(0, 70)),
        draw(st.integers(0, 70)),
        draw(st.sampled_from([1, 2, 4, 8, 16, 3])),
        draw(st.sampled_from([0, 2, 3, 4, 6, 1])),
        0,
        0,
        draw(st.sampled_from([0, 0, 1, 2])),
    )
    kinds = st.sampled_from([b"PLTE", b"tRNS", b"IDAT", b"iCCP", b"eXIf", b"acTL", b"tEXt"])
    chunks = draw(st.lists(st.tuples(kinds, st.binary(max_size=40)), max_size=6))
    rows = zlib.compress(draw(st.binary(max_size=8)) * draw(st.integers(0, 3000)))
    chunks.insert(draw(st.integers(0, len(chunks))), (b"IDAT", rows))
    body = b"".join(photos.png_chunk(kind, content) for kind, content in chunks)
    return MAGIC["image/png"] + photos.png_chunk(b"IHDR", header) + body


def assert_photo_or_rejection(source: bytes, content_type: str) -> None:
    with contextlib.suppress(PhotoRejected):
        assert set(render_variants(source, content_type)) == {"web", "ai"}


@whatever
@given(content_types, st.binary(max_size=300))
def test_random_bytes_are_a_photo_or_rejected(content_type: str, junk: bytes) -> None:
    assert_photo_or_rejection(MAGIC[content_type] + junk, content_type)


@settings(whatever, max_examples=400)
@given(mutated_files())
def test_a_damaged_photo_is_a_photo_or_rejected(file: tuple[str, bytes]) -> None:
    content_type, source = file
    assert_photo_or_rejection(source, content_type)


@whatever
@given(mutated_files(st.just("image/webp")), st.integers(1, 47), st.integers(1, 31))
def test_a_damaged_webp_is_scaled_or_rejected(
    file: tuple[str, bytes], width: int, height: int
) -> None:
    with contextlib.suppress(PhotoRejected):
        photo = read_photo_file(file[1], "image/webp")
        size = min(width, photo.width), min(height, photo.height)
        assert decode_scaled(photo, size).size == size


@whatever
@given(made_up_pngs())
def test_a_made_up_png_is_a_photo_or_rejected(source: bytes) -> None:
    assert_photo_or_rejection(source, "image/png")


@whatever
@given(st.binary(max_size=400))
@example(b"MM\0*\xff\xff\xff\xff")
@example(b"II*\0\x08\0\0\0\xff\xff")
def test_any_exif_gives_an_orientation(exif: bytes) -> None:
    source = photos.with_segments(
        SEEDS["image/jpeg"][1], photos.jpeg_segment(0xE1, b"Exif\0\0" + exif)
    )

    assert 1 <= read_photo_file(source, "image/jpeg").orientation <= 8
