"""Whether a file that was put together is of the kind it was announced as, by its content.

What would be unpacked is never unpacked here: a package's table of contents says enough. Photos
are looked at more closely where they are processed.
"""

import codecs
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from enum import StrEnum
from typing import IO, cast

from uploads.file_rules import DOCUMENT_TYPES, PHOTO_TYPES
from uploads.photo_formats import content_type_of


class Reason(StrEnum):
    """Why a file is refused: stored and shown to apps as those of photos, so the values stay."""

    NOT_AN_IMAGE = "NOT_AN_IMAGE"
    NOT_TEXT = "NOT_TEXT"
    TYPE_MISMATCH = "TYPE_MISMATCH"
    ENCRYPTED = "ENCRYPTED"
    TOO_COMPLEX = "TOO_COMPLEX"
    CORRUPT = "CORRUPT"


class ContentRefused(Exception):
    """The file is not one that is taken; `reason` is a stable code."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason.value


# What a table of contents may come to: zipfile and olefile make some twenty times that of it. The
# largest file of ours that is honest has less than one.
MAX_TABLE_BYTES = 4 * 1024**2
# More than people open; and zeros, which shrink most, come to 1,000 times what they are packed.
MAX_UNPACKED_BYTES = 512 * 1024**2
MAX_RATIO = 200
# Small parts may shrink as they like.
RATIO_COUNTS_FROM_BYTES = 1024**2
_PIECE_BYTES = 1024**2

_PHOTO_HEAD_BYTES = 16
_ZIP = b"PK\x03\x04"
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ZIP_ENCRYPTED = 0x1
# Word's streams, and Excel's since 1997 and before; what Office hides a file with a password in.
_WORD, _EXCEL, _HIDDEN = ("WordDocument",), ("Workbook", "Book"), ("EncryptedPackage",)
# What the list of a package's parts calls the main one (ECMA-376 part 1, 15.2), which tells it
# from templates and from files with macros; and how that part's name begins.
_LIST_OF_PARTS = "[Content_Types].xml"
_WORD_PART = f"{DOCUMENT_TYPES['.docx']}.main+xml", "word/document"
_EXCEL_PART = f"{DOCUMENT_TYPES['.xlsx']}.main+xml", "xl/workbook"
# No text has them; but tab, line and page ends, DOS's end of file, and terminals' escape.
_CONTROLS = re.compile("[\x00-\x08\x0e-\x19\x1c-\x1f]")

# Whatever the two libraries raise on broken files. The net is wide: a file that got through it
# would be tried again for ever.
_BROKEN = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


def check_content(file: IO[bytes], content_type: str) -> None:
    """Look whether a whole file is of a type that `file_rules` takes.

    Raises:
        ContentRefused: it isn't, or it would harm who opens it.

    """
    file.seek(0)
    if content_type in PHOTO_TYPES.values():
        _check_photo(file, content_type)
        return
    try:
        _CHECKS[content_type](file)
    except _BROKEN as error:
        raise ContentRefused(Reason.CORRUPT) from error


def _check_photo(file: IO[bytes], content_type: str) -> None:
    found = content_type_of(file.read(_PHOTO_HEAD_BYTES))
    if found is None:
        raise ContentRefused(Reason.NOT_AN_IMAGE)
    if found != content_type:
        raise ContentRefused(Reason.TYPE_MISMATCH)


def _check_pdf(file: IO[bytes]) -> None:
    if file.read(5) != b"%PDF-":
        raise ContentRefused(Reason.TYPE_MISMATCH)


def _check_text(file: IO[bytes]) -> None:
    """Take whatever reads as text: UTF-16 says so in front, and any other encoding keeps ASCII."""
    is_utf16 = file.read(2) in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}
    file.seek(0)
    decoder = codecs.getincrementaldecoder("utf-16" if is_utf16 else "latin-1")()
    try:
        while piece := file.read(_PIECE_BYTES):
            if _CONTROLS.search(decoder.decode(piece)):
                raise ContentRefused(Reason.NOT_TEXT)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise ContentRefused(Reason.NOT_TEXT) from error


def _check_word(file: IO[bytes]) -> None:
    if not _has_stream(file, _WORD):
        raise ContentRefused(Reason.TYPE_MISMATCH)


def _check_excel(file: IO[bytes]) -> None:
    if not _has_stream(file, _EXCEL):
        raise ContentRefused(Reason.TYPE_MISMATCH)


def _has_stream(file: IO[bytes], names: tuple[str, ...]) -> bool:
    """Say whether it is a compound file (MS-CFB) with one of these streams."""
    import olefile

    is_compound = file.read(len(_OLE)) == _OLE
    if not is_compound:
        return False
    compound = olefile.OleFileIO(cast("IO[bytes]", _Excerpt(file)))
    return any(compound.exists(name) for name in names)


def _check_docx(file: IO[bytes]) -> None:
    _check_package(file, *_WORD_PART)


def _check_xlsx(file: IO[bytes]) -> None:
    _check_package(file, *_EXCEL_PART)


def _check_package(file: IO[bytes], main_type: str, main_part: str) -> None:
    head = file.read(len(_ZIP))
    if head != _ZIP:
        file.seek(0)
        hidden = _has_stream(file, _HIDDEN)
        raise ContentRefused(Reason.ENCRYPTED if hidden else Reason.TYPE_MISMATCH)
    with zipfile.ZipFile(cast("IO[bytes]", _Excerpt(file))) as package:
        parts = package.infolist()
        if any(part.flag_bits & _ZIP_ENCRYPTED for part in parts):
            raise ContentRefused(Reason.ENCRYPTED)
        if sum(part.file_size for part in parts) > MAX_UNPACKED_BYTES or any(map(_bursts, parts)):
            raise ContentRefused(Reason.TOO_COMPLEX)
        if not any(part.filename.startswith(main_part) for part in parts):
            raise ContentRefused(Reason.TYPE_MISMATCH)
        with package.open(_LIST_OF_PARTS) as list_of_parts:
            if main_type.encode() not in list_of_parts.read(_PIECE_BYTES):
                raise ContentRefused(Reason.TYPE_MISMATCH)


def _bursts(part: zipfile.ZipInfo) -> bool:
    shrunk_to = max(1, part.compress_size)
    return part.file_size > RATIO_COUNTS_FROM_BYTES and part.file_size / shrunk_to > MAX_RATIO


class _Excerpt:
    """A file of which only so much is read in all, by libraries that would read all they find."""

    closed = False

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._left = MAX_TABLE_BYTES
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        most = self._left + 1
        found = self._file.read(most if size < 0 else min(size, most))
        self._left -= len(found)
        if self._left < 0:
            raise ContentRefused(Reason.TOO_COMPLEX)
        return found

    def seekable(self) -> bool:
        return True


_CHECKS: dict[str, Callable[[IO[bytes]], None]] = {
    DOCUMENT_TYPES[".pdf"]: _check_pdf,
    DOCUMENT_TYPES[".doc"]: _check_word,
    DOCUMENT_TYPES[".docx"]: _check_docx,
    DOCUMENT_TYPES[".xls"]: _check_excel,
    DOCUMENT_TYPES[".xlsx"]: _check_xlsx,
    DOCUMENT_TYPES[".csv"]: _check_text,
    DOCUMENT_TYPES[".txt"]: _check_text,
}
