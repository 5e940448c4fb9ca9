"""What a photo file says about itself, read before any decoder sees it (seed WF-INTEG-01).

Everything here looks at a few header bytes: the true type, the dimensions, the orientation, the
colour profile, whether it moves. What comes out is only what a decoder needs for the pixels, so
EXIF, GPS, XMP, comments, previews and text never reach Pillow. That is both the privacy promise
and the guard against files whose metadata is the attack (a 64 KB EXIF block can make Pillow hold
hundreds of megabytes, a 5 MB PNG of compressed text chunks can keep it busy for ten seconds).
"""

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from uploads.photo_file import (
    MAX_ICC_PROFILE_BYTES,
    MAX_JPEG_COEFFICIENTS,
    MAX_JPEG_SCANS,
    MAX_PARTS,
    MAX_PNG_BYTES,
    PhotoRejected,
    Reason,
    StrippedPhoto,
    check_dimensions,
    exif_orientation,
    sane_profile,
)


def read_photo_file(source: bytes, content_type: str) -> StrippedPhoto:
    """Check the bytes of a file against its declared type and the limits, decoding nothing.

    Raises PhotoRejected.
    """
    if not source:
        raise PhotoRejected(Reason.EMPTY)
    found = content_type_of(source)
    if found is None:
        raise PhotoRejected(Reason.NOT_AN_IMAGE)
    if found != content_type:
        raise PhotoRejected(Reason.TYPE_MISMATCH)
    try:
        photo = _READERS[found](source)
    except (struct.error, IndexError) as error:  # a header that ends in the middle
        raise PhotoRejected(Reason.CORRUPT) from error
    return photo


def content_type_of(source: bytes) -> str | None:
    if source.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if source.startswith(_PNG_SIGNATURE):
        return "image/png"
    if source[:4] == b"RIFF" and source[8:12] == b"WEBP":
        return "image/webp"
    return None


# JPEG (ITU-T T.81, annex B) -----------------------------------------------------------------

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


def _read_jpeg(source: bytes) -> StrippedPhoto:
    frame: _Frame | None = None
    kept = [b"\xff\xd8"]
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
            kept.append(source[segment.start : segment.end])
        elif segment.marker in _TABLES or _tells_colour_space(segment):
            kept.append(source[segment.start : segment.end])
        elif segment.marker == _APP1 and body.startswith(b"Exif\0\0"):
            exif = exif or body[6:]
        elif segment.marker == _APP2 and body.startswith(b"ICC_PROFILE\0"):
            profile_parts[body[12]] = body[14:]
    if frame is None or not scans or _claims_too_much(frame, coded_bytes=end - first_scan):
        raise PhotoRejected(Reason.CORRUPT)
    return StrippedPhoto(
        format="JPEG",
        width=frame.width,
        height=frame.height,
        orientation=exif_orientation(exif),
        icc_profile=sane_profile(b"".join(part for _, part in sorted(profile_parts.items()))),
        # What follows the end marker (a second picture of an MPO, a zip) is left behind.
        pixel_stream=b"".join([*kept, source[first_scan:end]]),
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


# PNG (W3C, third edition) -------------------------------------------------------------------

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
_PNG_PIXEL_CHUNKS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})


def _read_png(source: bytes) -> StrippedPhoto:
    if source[12:16] != b"IHDR":
        raise PhotoRejected(Reason.CORRUPT)
    width, height, depth, color = struct.unpack_from(">IIBB", source, 16)
    check_dimensions("PNG", width, height)
    if width * height * depth * _PNG_CHANNELS.get(color, 1) > MAX_PNG_BYTES * 8:
        raise PhotoRejected(Reason.TOO_MANY_PIXELS)
    kept = [_PNG_SIGNATURE]
    exif = b""
    profile: bytes | None = None
    for kind, start, end in _png_chunks(source):
        if kind in _PNG_PIXEL_CHUNKS:
            kept.append(source[start:end])
        elif kind == b"acTL" and struct.unpack_from(">I", source, start + 8)[0] > 1:
            raise PhotoRejected(Reason.ANIMATED)
        elif kind == b"eXIf":
            exif = exif or source[start + 8 : end - 4]
        elif kind == b"iCCP" and profile is None:
            profile = _png_profile(source[start + 8 : end - 4])
    return StrippedPhoto(
        format="PNG",
        width=width,
        height=height,
        orientation=exif_orientation(exif),
        icc_profile=sane_profile(profile or b""),
        pixel_stream=b"".join(kept),
    )


def _png_chunks(source: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and end of every chunk up to IEND; the last one may be cut short."""
    position = len(_PNG_SIGNATURE)
    for _ in range(MAX_PARTS):
        if position + 8 > len(source):
            return
        length, kind = struct.unpack_from(">I4s", source, position)
        end = position + 12 + length
        yield kind, position, end
        if kind == b"IEND":
            return
        position = end
    raise PhotoRejected(Reason.TOO_COMPLEX)


def _png_profile(body: bytes) -> bytes:
    _name, _, packed = body.partition(b"\0")
    unpacker = zlib.decompressobj()
    try:
        # Bounded: a few kilobytes can unpack to gigabytes. One byte over marks it as too large.
        return unpacker.decompress(packed[1:], MAX_ICC_PROFILE_BYTES + 1)
    except zlib.error:
        return b""


# WebP (RFC 9649) ----------------------------------------------------------------------------

_WEBP_ANIMATION_FLAG = 0x02
_WEBP_PIXEL_CHUNKS = frozenset({b"VP8X", b"ALPH", b"VP8 ", b"VP8L"})
_VP8_START_CODE = b"\x9d\x01\x2a"
_VP8L_SIGNATURE = 0x2F


def _read_webp(source: bytes) -> StrippedPhoto:
    width, height = _webp_size(source)
    check_dimensions("WEBP", width, height)
    if source[12:16] == b"VP8X" and source[20] & _WEBP_ANIMATION_FLAG:
        raise PhotoRejected(Reason.ANIMATED)
    kept: list[bytes] = []
    metadata: dict[bytes, bytes] = {}
    for kind, start, end in _webp_chunks(source):
        if kind in {b"EXIF", b"ICCP"}:
            metadata.setdefault(kind, source[start + 8 : end])
        elif kind in _WEBP_PIXEL_CHUNKS:
            kept.append(source[start:end] + b"\0" * ((end - start) % 2))
    body = b"WEBP" + b"".join(kept)
    return StrippedPhoto(
        format="WEBP",
        width=width,
        height=height,
        orientation=exif_orientation(metadata.get(b"EXIF", b"")),
        icc_profile=sane_profile(metadata.get(b"ICCP", b"")),
        pixel_stream=b"RIFF" + struct.pack("<I", len(body)) + body,
    )


def _webp_size(source: bytes) -> tuple[int, int]:
    kind = source[12:16]
    if kind == b"VP8X":
        width, height = source[24:27], source[27:30]
        return int.from_bytes(width, "little") + 1, int.from_bytes(height, "little") + 1
    if kind == b"VP8L" and source[20] == _VP8L_SIGNATURE:
        (bits,) = struct.unpack_from("<I", source, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and source[23:26] == _VP8_START_CODE:
        width_and_scale, height_and_scale = struct.unpack_from("<HH", source, 26)
        return width_and_scale & 0x3FFF, height_and_scale & 0x3FFF
    raise PhotoRejected(Reason.CORRUPT)


def _webp_chunks(source: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and end (without padding) of every chunk; the last one may be cut short."""
    position = 12
    for _ in range(MAX_PARTS):
        if position + 8 > len(source):
            return
        kind, length = struct.unpack_from("<4sI", source, position)
        end = position + 8 + length
        yield kind, position, end
        position = end + length % 2
    raise PhotoRejected(Reason.TOO_COMPLEX)


_READERS: dict[str, Callable[[bytes], StrippedPhoto]] = {
    "image/jpeg": _read_jpeg,
    "image/png": _read_png,
    "image/webp": _read_webp,
}
