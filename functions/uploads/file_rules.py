"""Which files may be uploaded, judged by what the client says of them (seed: WF-INTEG-01)."""

import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath

from fieldgate.errors import (
    ErrorDetail,
    PayloadTooLarge,
    UnsupportedMediaType,
    ValidationFailed,
)

MAX_PHOTO_BYTES = 5 * 1024 * 1024
MAX_FILENAME_BYTES = 255

PHOTO_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
}
# An inner extension of a known kind makes a doubled one ("leaf.php.jpg"). Only known kinds count:
# people also write "Plot 3.north.jpg".
_OTHER_KINDS = (
    "apk asp aspx bat bmp cgi cmd com csv dll doc docx exe gif heic htm html ico jar js jsp lnk "
    "mjs mp4 msi pdf php phtml pl ps1 py rb scr sh svg tif tiff txt vbs wasm xls xlsx xml zip"
)
_KNOWN_EXTENSIONS = {*PHOTO_TYPES, *(f".{kind}" for kind in _OTHER_KINDS.split())}

# Fraction, division, set minus, big solidus and box drawing: slashes to the eye, and yet not to
# Unicode's compatibility form, which knows the full-width ones.
_SLASHES = frozenset("/\\\u2044\u2215\u2216\u2571\u2572\u29f5\u29f8\u29f9")


class Folder(StrEnum):
    """Where uploads may go."""

    CLIENTS = "clients"
    CLIENT_DOCUMENTS = "client-documents"
    CROP_DEMANDS = "crop-demands"
    FARMERS = "farmers"
    UPLOADS = "uploads"


@dataclass(frozen=True)
class DeclaredPhoto:
    """A photo that may come: its cleaned name, its extension as storage will show it, its type."""

    filename: str
    extension: str
    content_type: str
    size: int


def check_photo(filename: str, content_type: str, size: int) -> DeclaredPhoto:
    """Judge a photo's name, declared MIME type and size in bytes.

    Raises:
        ValidationFailed: a name with path parts, control characters or two extensions; a type
            that does not fit the extension; no bytes at all.
        UnsupportedMediaType: a kind of file that is not a photo we take.
        PayloadTooLarge: over 5 MiB.

    """
    name = _clean(filename)
    path = PurePosixPath(name)
    extension = path.suffix.lower()
    expected_type = PHOTO_TYPES.get(extension)
    if expected_type is None or content_type.lower() not in PHOTO_TYPES.values():
        raise UnsupportedMediaType("Photos are jpg, jpeg, png or webp files.")
    if _inner_extension(name) in _KNOWN_EXTENSIONS:
        raise _wrong("filename", "has two extensions")
    if content_type.lower() != expected_type:
        raise _wrong("contentType", f"does not fit the extension {extension}")
    if size <= 0:
        raise _wrong("size", "must be at least 1 byte")
    if size > MAX_PHOTO_BYTES:
        raise PayloadTooLarge(f"A photo may be {MAX_PHOTO_BYTES} bytes at most.")
    return DeclaredPhoto(name, extension, expected_type, size)


def _clean(filename: str) -> str:
    """Return the name in Unicode's composed form; it is shown to people, never used as a path."""
    name = unicodedata.normalize("NFC", filename)
    if any(_is_invisible(character) for character in name):
        raise _wrong("filename", "has control or invisible characters")
    looks_like = _as_it_looks(name)
    if _SLASHES & set(looks_like) or ".." in looks_like:
        raise _wrong("filename", "must be a plain file name, without folders")
    if len(name.encode()) > MAX_FILENAME_BYTES:
        raise _wrong("filename", f"may be {MAX_FILENAME_BYTES} bytes at most")
    return name


def _is_invisible(character: str) -> bool:
    """Say whether it is of Unicode's class C (control, format, surrogate) or breaks the line."""
    category = unicodedata.category(character)
    return category.startswith("C") or category in {"Zl", "Zp"}


def _as_it_looks(name: str) -> str:
    """Return the name with what only looks like a separator, a dot or a letter made that."""
    return unicodedata.normalize("NFKC", name)


def _inner_extension(name: str) -> str:
    """Return what stands before the extension as if it were one: ".php" of "leaf.php.jpg"."""
    parts = _as_it_looks(name).lower().rsplit(".", 2)
    return f".{parts[-2].strip()}" if len(parts) == 3 else ""


def _wrong(field: str, message: str) -> ValidationFailed:
    return ValidationFailed("The file is not valid.", details=[ErrorDetail(field, message)])
