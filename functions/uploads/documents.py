"""Whether a file that was put together is of the kind it was announced as, by its content.

Not looked at is what is inside the parts of packages (a zip or a document in a document, and bombs
in there), nor macros of the formats before packages (doc, xls). Photos are looked at more closely
where they are processed.
"""

import codecs
import re
from collections.abc import Callable
from typing import IO

from uploads.compound_files import has_stream
from uploads.content_refused import ContentRefused, Reason
from uploads.file_rules import DOCUMENT_TYPES, PHOTO_TYPES
from uploads.packages import EXCEL_PART, WORD_PART, check_package
from uploads.photo_formats import content_type_of

_PIECE_BYTES = 1024**2

_PHOTO_HEAD_BYTES = 16
# Word's streams, and Excel's since 1997 and before.
_WORD, _EXCEL = ("WordDocument",), ("Workbook", "Book")
# No text has them; but tab, line and page ends, DOS's end of file, and terminals' escape.
_CONTROLS = re.compile("[\x00-\x08\x0e-\x19\x1c-\x1f]")


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
    if not has_stream(file, _WORD):
        raise ContentRefused(Reason.TYPE_MISMATCH)


def _check_excel(file: IO[bytes]) -> None:
    if not has_stream(file, _EXCEL):
        raise ContentRefused(Reason.TYPE_MISMATCH)


def _check_docx(file: IO[bytes]) -> None:
    check_package(file, WORD_PART)


def _check_xlsx(file: IO[bytes]) -> None:
    check_package(file, EXCEL_PART)


_CHECKS: dict[str, Callable[[IO[bytes]], None]] = {
    DOCUMENT_TYPES[".pdf"]: _check_pdf,
    DOCUMENT_TYPES[".doc"]: _check_word,
    DOCUMENT_TYPES[".docx"]: _check_docx,
    DOCUMENT_TYPES[".xls"]: _check_excel,
    DOCUMENT_TYPES[".xlsx"]: _check_xlsx,
    DOCUMENT_TYPES[".csv"]: _check_text,
    DOCUMENT_TYPES[".txt"]: _check_text,
}
