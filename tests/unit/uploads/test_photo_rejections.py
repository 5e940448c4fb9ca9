"""Odd files are photos all the same; what only pretends to be one is rejected and told why."""

import dataclasses
import io
import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests import photos
from uploads.photo import PhotoRejected, Reason, render_variants
from uploads.photo_file import Parts
from uploads.photo_formats import read_photo_file

# Large files cost a second each: what they cost and give is the benchmark's business.
QUICK_ODD = {name: file for name, file in photos.ODD.items() if " MP " not in name}

hostile = pytest.mark.parametrize(
    ("content_type", "make"), photos.HOSTILE.values(), ids=photos.HOSTILE.keys()
)
odd = pytest.mark.parametrize(("content_type", "make"), QUICK_ODD.values(), ids=QUICK_ODD.keys())


def reason_for(source: bytes, content_type: str) -> str:
    with pytest.raises(PhotoRejected) as rejection:
        render_variants(source, content_type)
    assert str(rejection.value).endswith(".")
    return rejection.value.reason


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
