"""Whether a file that was put together is of the kind it was announced as, by its content.

Of a package only the list of its parts is unpacked: its table of contents says how large the others
are. That the table lies is noticed where no packing could come to what it says, and nowhere else.
Nor is looked at what is inside the parts (a zip or a document in a document, and bombs in there),
nor at macros of the formats before packages (doc, xls). Photos are looked at more closely where
they are processed.
"""

import codecs
import errno
import io
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import IO, cast
from xml.parsers import expat

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
# Small parts may shrink as they like, as long as all of them together are small: Office puts empty
# pictures of some MB into files, which pack to nearly nothing.
RATIO_COUNTS_FROM_BYTES = 32 * 1024**2
# Thousands of parts have their lines in so much.
MAX_LIST_BYTES = 1024**2
_PIECE_BYTES = 1024**2

_PHOTO_HEAD_BYTES = 16
_ZIP = b"PK\x03\x04"
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ZIP_ENCRYPTED = 0x1
# Word's streams, and Excel's since 1997 and before; what Office hides a file with a password in.
_WORD, _EXCEL, _HIDDEN = ("WordDocument",), ("Workbook", "Book"), ("EncryptedPackage",)
# What the list of a package's parts calls the main one (ECMA-376 part 1, 15.2), which tells it
# from templates. Names and types are compared in small letters.
_LIST_OF_PARTS = "[content_types].xml"
_WORD_PART = f"{DOCUMENT_TYPES['.docx']}.main+xml"
_EXCEL_PART = f"{DOCUMENT_TYPES['.xlsx']}.main+xml"
# What is in the type of each part that may run macros; and how the part is called that holds them.
_MACROS_TYPE, _MACROS_PART = "macroenabled", "vbaproject.bin"
# No text has them; but tab, line and page ends, DOS's end of file, and terminals' escape.
_CONTROLS = re.compile("[\x00-\x08\x0e-\x19\x1c-\x1f]")

# Whatever the libraries raise on broken files. The net is wide: a file that got through it would be
# tried again for ever. MemoryError isn't in it: what they read is limited: the machine lacks it.
_BROKEN = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    expat.ExpatError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


def check_content(file: IO[bytes], content_type: str) -> None:
    """Look whether a whole file is of a type that `file_rules` takes.

    Raises:
        ContentRefused: it isn't, or it would harm who opens it.
        OSError, MemoryError: nothing is known of it; the machine failed.

    """
    file.seek(0)
    if content_type in PHOTO_TYPES.values():
        _check_photo(file, content_type)
    else:
        _CHECKS[content_type](file)


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
    with _for_a_library(file) as excerpt:
        compound = olefile.OleFileIO(cast("IO[bytes]", excerpt))
        return any(compound.exists(name) for name in names)


def _check_docx(file: IO[bytes]) -> None:
    _check_package(file, _WORD_PART)


def _check_xlsx(file: IO[bytes]) -> None:
    _check_package(file, _EXCEL_PART)


def _check_package(file: IO[bytes], main_type: str) -> None:
    head = file.read(len(_ZIP))
    if head != _ZIP:
        file.seek(0)
        hidden = _has_stream(file, _HIDDEN)
        raise ContentRefused(Reason.ENCRYPTED if hidden else Reason.TYPE_MISMATCH)
    with _for_a_library(file) as excerpt:
        with zipfile.ZipFile(cast("IO[bytes]", excerpt)) as package:
            parts = package.infolist()
            _check_table(parts, excerpt.length)
            names = {_name(part.filename) for part in parts}
            types = _types_in(_list_of_parts(package))
        has_macros = any(name.endswith(_MACROS_PART) for name in names) or any(
            _MACROS_TYPE in a_type for a_type in types.values()
        )
        if has_macros or not any(types.get(name) == main_type for name in names):
            raise ContentRefused(Reason.TYPE_MISMATCH)


def _name(written: str) -> str:
    """Return a part's name in one form: old .NET writes backslashes, others a slash in front."""
    return written.lower().replace("\\", "/").lstrip("/")


def _check_table(parts: Sequence[zipfile.ZipInfo], file_bytes: int) -> None:
    if any(part.flag_bits & _ZIP_ENCRYPTED for part in parts):
        raise ContentRefused(Reason.ENCRYPTED)
    unpacked = sum(part.file_size for part in parts)
    packed = sum(part.compress_size for part in parts)
    # Parts that share their bytes, or end behind the file, come to more than it; and any ratio.
    if packed > file_bytes or any(map(_is_impossible, parts)):
        raise ContentRefused(Reason.CORRUPT)
    bursts = any(_bursts(part.file_size, part.compress_size) for part in parts)
    if unpacked > MAX_UNPACKED_BYTES or bursts or _bursts(unpacked, packed):
        raise ContentRefused(Reason.TOO_COMPLEX)


def _is_impossible(part: zipfile.ZipInfo) -> bool:
    """Say whether a part is packed as none may be, or to more than its size can come to.

    ECMA-376 part 2 ("ZIP Appnote.txt Clarifications") knows stored and deflated parts; of others
    zipfile unpacks all when it is asked for a byte. No code of deflate's is longer than fifteen
    bits (RFC 1951, 3.2.7), and it has some bytes around them.
    """
    if part.compress_type == zipfile.ZIP_STORED:
        return part.file_size != part.compress_size
    most = 2 * part.file_size + 64
    return part.compress_type != zipfile.ZIP_DEFLATED or part.compress_size > most


def _bursts(unpacked: int, packed: int) -> bool:
    return unpacked > RATIO_COUNTS_FROM_BYTES and unpacked > MAX_RATIO * packed


def _list_of_parts(package: zipfile.ZipFile) -> bytes:
    found = [part for part in package.infolist() if part.filename.lower() == _LIST_OF_PARTS]
    if not found:
        raise ContentRefused(Reason.TYPE_MISMATCH)
    # Of two, who knows which one a reader takes.
    if len(found) > 1:
        raise ContentRefused(Reason.CORRUPT)
    if found[0].file_size > MAX_LIST_BYTES:
        raise ContentRefused(Reason.TOO_COMPLEX)
    with package.open(found[0]) as content:
        # Told no length, it would unpack all that there is before it looks how much that should be.
        return content.read(MAX_LIST_BYTES)


def _types_in(list_of_parts: bytes) -> dict[str, str]:
    """Return the types of the parts that a list names, by name, in small letters.

    Those that it tells by extension are of what is embedded.
    """
    types: dict[str, str] = {}

    def element(_tag: str, attributes: dict[str, str]) -> None:
        if part := attributes.get("PartName"):
            types[_name(part)] = attributes.get("ContentType", "").lower()

    def document_type(*_: object) -> None:
        # Packages have none, and it could define what it likes.
        raise ContentRefused(Reason.CORRUPT)

    parser = expat.ParserCreate()
    parser.StartElementHandler = element
    parser.StartDoctypeDeclHandler = document_type
    parser.Parse(list_of_parts, True)
    return types


@contextmanager
def _for_a_library(file: IO[bytes]) -> Iterator["_Excerpt"]:
    """Have a library read a file, and take what it raises to be the file's fault, if it is."""
    excerpt = _Excerpt(file)
    try:
        yield excerpt
    except _Unreadable as unreadable:
        raise unreadable.error from None
    except _BROKEN as error:
        raise ContentRefused(Reason.CORRUPT) from error


class _Unreadable(Exception):
    """The machine failed to read. Unlike an OSError, libraries don't take this for the file's."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error)
        self.error = error


class _Excerpt:
    """A file of which only so much is read in all, by libraries that would read all they find.

    Seeking is arithmetic: they seek to wherever a file says, which fails for other reasons.
    """

    closed = False

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.length = file.seek(0, io.SEEK_END)
        self._at = 0
        self._left = MAX_TABLE_BYTES

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        at = (0, self._at, self.length)[whence] + offset
        if at < 0:
            raise OSError(errno.EINVAL, "before the beginning")
        self._at = at
        return at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        most = self._left + 1
        try:
            self._file.seek(min(self._at, self.length))
            found = self._file.read(most if size < 0 else min(size, most))
        except OSError as error:
            raise _Unreadable(error) from error
        self._at += len(found)
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
