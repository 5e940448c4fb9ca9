"""Whether a file is a package (ECMA-376: docx, xlsx), of which kind, and harms nobody who opens it.

Only the list of its parts is unpacked: its table of contents says how large the others are. That
the table lies is noticed where no packing could come to what it says, and nowhere else.
"""

import zipfile
from collections.abc import Sequence
from typing import IO, cast
from xml.parsers import expat

from uploads.compound_files import for_a_library, has_stream
from uploads.content_refused import ContentRefused, Reason
from uploads.file_rules import DOCUMENT_TYPES

# More than people open; and zeros, which shrink most, come to 1,000 times what they are packed.
MAX_UNPACKED_BYTES = 512 * 1024**2
MAX_RATIO = 200
# Small parts may shrink as they like, as long as all of them together are small: Office puts empty
# pictures of some MB into files, which pack to nearly nothing.
RATIO_COUNTS_FROM_BYTES = 32 * 1024**2
# Thousands of parts have their lines in so much.
MAX_LIST_BYTES = 1024**2

_ZIP = b"PK\x03\x04"
_ZIP_ENCRYPTED = 0x1
# What Office hides a file with a password in.
_HIDDEN = ("EncryptedPackage",)
# What the list of a package's parts calls the main one (ECMA-376 part 1, 15.2), which tells it
# from templates. Names and types are compared in small letters.
_LIST_OF_PARTS = "[content_types].xml"
WORD_PART = f"{DOCUMENT_TYPES['.docx']}.main+xml"
EXCEL_PART = f"{DOCUMENT_TYPES['.xlsx']}.main+xml"
# What is in the type of each part that may run macros; and how the part is called that holds them.
_MACROS_TYPE, _MACROS_PART = "macroenabled", "vbaproject.bin"


def check_package(file: IO[bytes], main_type: str) -> None:
    head = file.read(len(_ZIP))
    if head != _ZIP:
        file.seek(0)
        hidden = has_stream(file, _HIDDEN)
        raise ContentRefused(Reason.ENCRYPTED if hidden else Reason.TYPE_MISMATCH)
    with for_a_library(file) as excerpt:
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
