"""What a photo file may be, why it is rejected, and what all formats have in common.

Every limit that goes beyond the size in bytes stands here.
"""

import io
import struct
from bisect import bisect_right
from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why a photo is rejected: stored with the media and shown to apps, so the values stay."""

    EMPTY = "EMPTY"
    NOT_AN_IMAGE = "NOT_AN_IMAGE"
    TYPE_MISMATCH = "TYPE_MISMATCH"
    TOO_MANY_PIXELS = "TOO_MANY_PIXELS"
    TOO_COMPLEX = "TOO_COMPLEX"
    UNSUPPORTED_ENCODING = "UNSUPPORTED_ENCODING"
    ANIMATED = "ANIMATED"
    CORRUPT = "CORRUPT"


_SENTENCES = {
    Reason.EMPTY: "The file is empty.",
    Reason.NOT_AN_IMAGE: "The file is not a JPEG, PNG or WebP photo.",
    Reason.TYPE_MISMATCH: "The file is a photo of another type than was declared.",
    Reason.TOO_MANY_PIXELS: "The photo has more pixels than can be processed.",
    Reason.TOO_COMPLEX: "The photo is built of more parts than can be processed.",
    Reason.UNSUPPORTED_ENCODING: "The photo uses an unusual encoding that is not supported.",
    Reason.ANIMATED: "The file is an animation; only still photos are accepted.",
    Reason.CORRUPT: "The photo is damaged or incomplete.",
}


class PhotoRejected(Exception):
    """The file can never become a photo: retrying is useless. Its text is a sentence for people."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(_SENTENCES[reason])
        self.reason = reason.value


# The limits keep every accepted file of 5 MiB under 256 MiB and a second, interpreter included;
# benchmarks/photo_memory.py measures them. JPEG is decoded at down to an eighth of its size, so a
# 64-megapixel phone photo costs little; PNG is unpacked whole (up to 4 bytes a pixel), and so is a
# lossless WebP within libwebp, at whatever size it comes out.
MAX_PIXELS = {"JPEG": 65_000_000, "PNG": 36_000_000, "WEBP": 24_000_000}
# What JPEG allows at most. PNG allows billions, which defeats working in bands of rows.
MAX_SIDE = 65_535
# Unpacking a PNG takes time by the byte: 26 megapixels of RGB, 20 of RGBA, 13 of 16-bit RGB.
MAX_PNG_BYTES = 80_000_000
# A progressive JPEG keeps every coefficient (2 bytes each) until its last scan has been read:
# 50 megapixels with the usual halved colour are 75 million of them.
MAX_JPEG_COEFFICIENTS = 80_000_000
# Encoders write about ten scans. Each one walks the whole picture however few bytes it has.
MAX_JPEG_SCANS = 24
# Camera files have tens of segments; PNG writers cut 5 MiB into 640 chunks of 8 KB or fewer.
MAX_PARTS = 10_000
MAX_ICC_PROFILE_BYTES = 1024 * 1024

_UPRIGHT = 1
_ORIENTATION_TAG = 0x0112
_TIFF_SHORT = 3


class Parts:
    """Parts of other bytes, one after another, as a file to read. Nothing is copied before that."""

    def __init__(self, first: bytes) -> None:
        """Begin with all of `first`."""
        self._parts = [memoryview(first)]
        self._starts = [0]
        self._size = len(first)
        self._position = 0

    def append(self, source: bytes, start: int, end: int) -> None:
        """Go on with `source` from `start` to before `end`, as far as there is any."""
        part = memoryview(source)[start:end]
        self._parts.append(part)
        self._starts.append(self._size)
        self._size += len(part)

    def __len__(self) -> int:
        return self._size

    def read(self, size: int = -1) -> bytes:
        """Return the next `size` bytes, all that are left when it is negative."""
        begin = self._position
        end = self._size if size < 0 else min(begin + size, self._size)
        self._position = max(begin, end)
        first, last = (bisect_right(self._starts, place) - 1 for place in (begin, end))
        return b"".join(
            self._parts[number][max(begin - self._starts[number], 0) : end - self._starts[number]]
            for number in range(first, last + 1)
        )

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(base + offset, 0)
        return self._position

    def tell(self) -> int:
        return self._position


@dataclass(frozen=True)
class StrippedPhoto:
    """A still photo that is safe to decode.

    `format` is Pillow's name; `width` and `height` are as stored, before `orientation` (EXIF, 1-8)
    is applied; `pixel_stream` is the file without its metadata.
    """

    format: str
    width: int
    height: int
    orientation: int
    icc_profile: bytes | None
    pixel_stream: Parts


def check_dimensions(image_format: str, width: int, height: int) -> None:
    """Raise PhotoRejected when the photo has no pixels or too many."""
    if width < 1 or height < 1:
        raise PhotoRejected(Reason.CORRUPT)
    if width * height > MAX_PIXELS[image_format] or max(width, height) > MAX_SIDE:
        raise PhotoRejected(Reason.TOO_MANY_PIXELS)


def exif_orientation(exif: bytes) -> int:
    """The Orientation tag (1-8) of a TIFF-shaped EXIF block; 1 when it is missing or nonsense.

    Read by hand because a whole EXIF reader copies every value an attacker cares to point at.
    """
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return _UPRIGHT
    try:
        (directory,) = struct.unpack_from(order + "I", tiff, 4)
        (entries,) = struct.unpack_from(order + "H", tiff, directory)
        for entry in range(entries):
            tag, kind, _count, value = struct.unpack_from(
                order + "HHIH", tiff, directory + 2 + 12 * entry
            )
            if tag == _ORIENTATION_TAG and kind == _TIFF_SHORT and 1 <= value <= 8:
                return int(value)
    except struct.error:
        return _UPRIGHT
    return _UPRIGHT


def sane_profile(profile: bytes) -> bytes | None:
    """The colour profile, unless the file has none or one larger than any camera's."""
    return profile if 0 < len(profile) <= MAX_ICC_PROFILE_BYTES else None
