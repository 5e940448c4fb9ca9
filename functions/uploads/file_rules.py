"""Which files may be uploaded, judged by what the client says of them."""

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

MAX_PHOTO_BYTES = 5 * 1024 * 1024  # in one request, unless somebody has set another
MAX_FILE_BYTES = 50 * 1024 * 1024  # in chunks
MAX_FILENAME_BYTES = 255

PHOTO_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
}
_OPEN_XML = "application/vnd.openxmlformats-officedocument"
DOCUMENT_TYPES = {
    ".pdf": "application/pdf",
    ".doc": "application/msword",
    ".docx": f"{_OPEN_XML}.wordprocessingml.document",
    ".xls": "application/vnd.ms-excel",
    ".xlsx": f"{_OPEN_XML}.spreadsheetml.sheet",
    ".csv": "text/csv",
    ".txt": "text/plain",
}
# What Windows says of a .csv once Excel is installed.
_OTHER_NAMES = {(".csv", "application/vnd.ms-excel"): "text/csv"}
# An inner extension of a known kind makes a doubled one ("leaf.php.jpg"). Only known kinds count:
# people also write "Plot 3.north.jpg".
_OTHER_KINDS = (
    "apk asp aspx bat bmp cgi cmd com dll exe gif heic htm html ico jar js jsp lnk mjs mp4 msi php "
    "phtml pl ps1 py rb scr sh svg tif tiff vbs wasm xml zip"
)
_KNOWN_EXTENSIONS = {
    *PHOTO_TYPES,
    *DOCUMENT_TYPES,
    *(f".{kind}" for kind in _OTHER_KINDS.split()),
}

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
class DeclaredFile:
    """A file that may come: its cleaned name, its extension as storage will show it, its type."""

    filename: str
    extension: str
    content_type: str
    size: int


def check_photo(
    filename: str, content_type: str, size: int, most_bytes: int = MAX_PHOTO_BYTES
) -> DeclaredFile:
    """Judge a photo's name, declared MIME type and size in bytes, when it comes in one request.

    Raises:
        ValidationFailed: a name with path parts, control characters or two extensions; a type
            that does not fit the extension; no bytes at all.
        UnsupportedMediaType: a kind of file that is not a photo we take.
        PayloadTooLarge: over `most_bytes`.

    """
    photo = _check(filename, content_type, size, PHOTO_TYPES)
    if size > most_bytes:
        raise PayloadTooLarge(f"A photo may be {most_bytes} bytes at most.")
    return photo


def check_file(filename: str, content_type: str, size: int) -> DeclaredFile:
    """Judge a photo or a document that comes in chunks; raises as `check_photo`, over 50 MiB.

    Parameters of the type (`; charset=utf-8`) are ignored.
    """
    plain_type = content_type.partition(";")[0].rstrip(" \t")
    file = _check(filename, plain_type, size, PHOTO_TYPES | DOCUMENT_TYPES)
    if size > MAX_FILE_BYTES:
        raise PayloadTooLarge(f"A file may be {MAX_FILE_BYTES} bytes at most.")
    return file


def _check(filename: str, content_type: str, size: int, kinds: dict[str, str]) -> DeclaredFile:
    name = _clean(filename)
    extension = PurePosixPath(name).suffix.lower()
    found_type = content_type.lower()
    found_type = _OTHER_NAMES.get((extension, found_type), found_type)
    if extension not in kinds or found_type not in kinds.values():
        names = ", ".join(kind.removeprefix(".") for kind in kinds)
        raise UnsupportedMediaType(f"These kinds of files are taken: {names}.")
    if _inner_extension(name) in _KNOWN_EXTENSIONS:
        raise _wrong("filename", "has two extensions")
    if found_type != kinds[extension]:
        raise _wrong("contentType", f"does not fit the extension {extension}")
    if size <= 0:
        raise _wrong("size", "must be at least 1 byte")
    return DeclaredFile(name, extension, found_type, size)


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
