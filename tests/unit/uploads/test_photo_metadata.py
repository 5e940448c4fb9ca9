"""No metadata of a photo is in its variants."""

import dataclasses
import struct

import pytest

from local import sample_photo
from tests import photos
from tests.support.pictures import opened
from uploads.photo import render_variants
from uploads.photo_file import Parts
from uploads.photo_formats import read_photo_file


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
