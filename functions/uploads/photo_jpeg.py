"""What a JPEG says about itself (ITU-T T.81, annex B); see `photo_formats`."""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from uploads.photo_file import (
    MAX_JPEG_COEFFICIENTS,
    MAX_JPEG_SCANS,
    MAX_PARTS,
    Parts,
    PhotoRejected,
    Reason,
    StrippedPhoto,
    check_dimensions,
    exif_orientation,
    sane_profile,
)

_SOI, _EOI, _SOS, _APP0, _APP1, _APP2, _APP14 = 0xD8, 0xD9, 0xDA, 0xE0, 0xE1, 0xE2, 0xEE
_TABLES = frozenset({0xC4, 0xDB, 0xDD})  # Huffman tables, quantisation tables, restart interval
_BASELINE, _EXTENDED, _PROGRESSIVE = 0xC0, 0xC1, 0xC2
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# In coded data an FF is followed by 00 or a restart marker, so this never matches inside a scan.
_MARKER = re.compile(rb"\xff([\x02-\xcf\xd8-\xfe])")


@dataclass(frozen=True)
class _Segment:
    marker: int
    start: int
    body: bytes
    end: int


@dataclass(frozen=True)
class _Frame:
    progressive: bool
    width: int
    height: int
    components: int
    coefficients: int


def read_jpeg(source: bytes) -> StrippedPhoto:
    """Check a JPEG against the limits, and leave its metadata behind; raises PhotoRejected."""
    frame: _Frame | None = None
    kept = Parts(b"\xff\xd8")
    exif = b""
    profile_parts: dict[int, bytes] = {}
    scans, first_scan, end = 0, 0, len(source)
    for segment in _jpeg_segments(source):
        body = segment.body
        if segment.marker == _EOI:
            end = segment.end
        elif segment.marker == _SOS:
            scans += 1
            if scans == 1:
                first_scan = segment.start
                _check_coefficients(frame, components_in_scan=body[0])
            elif scans > MAX_JPEG_SCANS:
                raise PhotoRejected(Reason.TOO_COMPLEX)
        elif scans:
            continue
        elif segment.marker in _FRAMES:
            if frame is not None:
                raise PhotoRejected(Reason.CORRUPT)
            frame = _jpeg_frame(segment)
            kept.append(source, segment.start, segment.end)
        elif segment.marker in _TABLES or _tells_colour_space(segment):
            kept.append(source, segment.start, segment.end)
        elif segment.marker == _APP1 and body.startswith(b"Exif\0\0"):
            exif = exif or body[6:]
        elif segment.marker == _APP2 and body.startswith(b"ICC_PROFILE\0"):
            profile_parts[body[12]] = body[14:]
    if frame is None or not scans or _claims_too_much(frame, coded_bytes=end - first_scan):
        raise PhotoRejected(Reason.CORRUPT)
    # What follows the end marker (a second picture of an MPO, a zip) is left behind.
    kept.append(source, first_scan, end)
    return StrippedPhoto(
        format="JPEG",
        width=frame.width,
        height=frame.height,
        orientation=exif_orientation(exif),
        icc_profile=sane_profile(b"".join(part for _, part in sorted(profile_parts.items()))),
        pixel_stream=kept,
    )


def _jpeg_segments(source: bytes) -> Iterator[_Segment]:
    """Every segment up to the end marker, or to the end of a file that lacks one."""
    position = len(b"\xff\xd8")
    for _ in range(MAX_PARTS):
        match = _MARKER.search(source, position)
        if match is None:
            return
        marker, start = match[1][0], match.start()
        if marker == _EOI:
            yield _Segment(marker, start, b"", start + 2)
            return
        # Markers below SOF0 are reserved. libjpeg skips one without its length, and so would find
        # scans that are hidden behind it from us.
        if marker == _SOI or marker < _BASELINE:
            raise PhotoRejected(Reason.CORRUPT)
        (length,) = struct.unpack_from(">H", source, start + 2)
        position = start + 2 + length
        if length < 2 or position > len(source):
            raise PhotoRejected(Reason.CORRUPT)
        yield _Segment(marker, start, source[start + 4 : position], position)
    raise PhotoRejected(Reason.TOO_COMPLEX)


def _tells_colour_space(segment: _Segment) -> bool:
    return (segment.marker == _APP0 and segment.body.startswith(b"JFIF\0")) or (
        segment.marker == _APP14 and segment.body.startswith(b"Adobe")
    )


def _jpeg_frame(segment: _Segment) -> _Frame:
    if segment.marker not in {_BASELINE, _EXTENDED, _PROGRESSIVE}:
        raise PhotoRejected(Reason.UNSUPPORTED_ENCODING)  # lossless, arithmetic, hierarchical
    precision, height, width, components = struct.unpack_from(">BHHB", segment.body)
    if precision != 8:
        raise PhotoRejected(Reason.UNSUPPORTED_ENCODING)
    check_dimensions("JPEG", width, height)
    sampling = [segment.body[7 + 3 * component] for component in range(components)]
    across = max((factor >> 4 for factor in sampling), default=0)
    down = max((factor & 15 for factor in sampling), default=0)
    if not across or not down:
        raise PhotoRejected(Reason.CORRUPT)
    share = sum((factor >> 4) * (factor & 15) for factor in sampling) / (across * down)
    return _Frame(
        progressive=segment.marker == _PROGRESSIVE,
        width=width,
        height=height,
        components=components,
        coefficients=int(width * height * share),
    )


def _check_coefficients(frame: _Frame | None, components_in_scan: int) -> None:
    if frame is None:
        raise PhotoRejected(Reason.CORRUPT)
    several_scans = frame.progressive or components_in_scan < frame.components
    if several_scans and frame.coefficients > MAX_JPEG_COEFFICIENTS:
        raise PhotoRejected(Reason.TOO_MANY_PIXELS)


def _claims_too_much(frame: _Frame, coded_bytes: int) -> bool:
    """Whether the header promises more blocks than the data can hold; libjpeg paints them grey.

    A block of 64 coefficients takes two codes, of at least one bit, unless scans share it out.
    """
    return not frame.progressive and frame.coefficients // 64 * 2 > coded_bytes * 8
