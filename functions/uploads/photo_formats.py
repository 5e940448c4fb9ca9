"""What a photo file says about itself, read before any decoder sees it.

Everything here looks at a few header bytes: the true type, the dimensions, the orientation, the
colour profile, whether it moves. What comes out is only what a decoder needs for the pixels, so
EXIF, GPS, XMP, comments, previews and text never reach Pillow. That is both the privacy promise
and the guard against files whose metadata is the attack (a 64 KB EXIF block can make Pillow hold
hundreds of megabytes, a 5 MB PNG of compressed text chunks can keep it busy for ten seconds).
"""

import struct
import zlib
from collections.abc import Callable, Iterator

from uploads.photo_file import (
    MAX_ICC_PROFILE_BYTES,
    MAX_PARTS,
    MAX_PNG_BYTES,
    Parts,
    PhotoRejected,
    Reason,
    StrippedPhoto,
    check_dimensions,
    exif_orientation,
    sane_profile,
)
from uploads.photo_jpeg import read_jpeg


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
    kept = Parts(_PNG_SIGNATURE)
    exif = b""
    profile: bytes | None = None
    for kind, start, end in _png_chunks(source):
        if kind in _PNG_PIXEL_CHUNKS:
            kept.append(source, start, end)
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
        pixel_stream=kept,
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
    kept: list[tuple[int, int]] = []
    metadata: dict[bytes, bytes] = {}
    for kind, start, end in _webp_chunks(source):
        if kind in {b"EXIF", b"ICCP"}:
            metadata.setdefault(kind, source[start + 8 : end])
        elif kind in _WEBP_PIXEL_CHUNKS:
            kept.append((start, end))
    return StrippedPhoto(
        format="WEBP",
        width=width,
        height=height,
        orientation=exif_orientation(metadata.get(b"EXIF", b"")),
        icc_profile=sane_profile(metadata.get(b"ICCP", b"")),
        pixel_stream=_riff(source, kept),
    )


def _riff(source: bytes, chunks: list[tuple[int, int]]) -> Parts:
    """A WebP of these chunks, each made even; the last one may lack its padding in the source."""
    length = sum(end - start + (end - start) % 2 for start, end in chunks)
    file = Parts(b"RIFF" + struct.pack("<I", len(b"WEBP") + length) + b"WEBP")
    for start, end in chunks:
        file.append(source, start, end)
        file.append(b"\0", 0, (end - start) % 2)
    return file


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
    "image/jpeg": read_jpeg,
    "image/png": _read_png,
    "image/webp": _read_webp,
}
