"""Whatever the bytes, they are a photo or rejected."""

import contextlib
import struct
import zlib

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests import photos
from uploads.photo import PhotoRejected, render_variants
from uploads.photo_formats import read_photo_file
from uploads.photo_webp import decode_scaled

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
