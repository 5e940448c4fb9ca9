"""Which content passes for which type, and what odd content costs."""

import io
import tracemalloc
import zipfile
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import documents, photos
from uploads.documents import MAX_TABLE_BYTES, ContentRefused, check_content
from uploads.file_rules import DOCUMENT_TYPES, MAX_FILE_BYTES, PHOTO_TYPES

KINDS = PHOTO_TYPES | DOCUMENT_TYPES
TEXT = "Mkulima;Bei (KSh);Größe\nWanjikũ;1 200;grün\n"
HTML = b"<html><script>alert(1)</script></html>"
ENTRY = 50


def verdict(content: bytes, extension: str) -> str:
    """Return why the file is refused, or "good"."""
    try:
        check_content(io.BytesIO(content), KINDS[extension])
    except ContentRefused as refusal:
        return refusal.reason
    return "good"


GOOD: dict[str, tuple[str, Callable[[], bytes]]] = {
    "pdf": (".pdf", documents.pdf),
    "doc": (".doc", documents.doc),
    "docx": (".docx", documents.docx),
    "docx as Word on the web numbers it": (
        ".docx",
        lambda: documents.docx(main_part="word/document2.xml"),
    ),
    "xls": (".xls", documents.xls),
    "xls of 1995": (".xls", documents.old_xls),
    "xlsx": (".xlsx", documents.xlsx),
    "csv in UTF-8": (".csv", TEXT.encode),
    "csv in UTF-8 with a mark": (".csv", lambda: TEXT.encode("utf-8-sig")),
    "csv in Latin-1": (".csv", lambda: TEXT.replace("ũ", "u").encode("latin-1")),
    "csv in Windows-1252": (".csv", lambda: "Preis;5 €\r\n“so”".encode("cp1252")),
    "csv in UTF-16": (".csv", lambda: TEXT.encode("utf-16")),
    "csv in UTF-16, big end first": (".csv", lambda: ("\ufeff" + TEXT).encode("utf-16-be")),
    "csv with DOS's end": (".csv", lambda: b"a,b\r\n\x1a"),
    "one byte of text": (".txt", lambda: b"x"),
    "html as text": (".txt", lambda: HTML),
    "jpeg": (".jpg", photos.small_jpeg),
    "png": (".png", photos.small_png),
    "webp": (".webp", photos.small_webp),
}
ODD: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "zip as jpg": (".jpg", documents.docx, "NOT_AN_IMAGE"),
    "text as jpg": (".jpg", lambda: b"x", "NOT_AN_IMAGE"),
    "png as jpg": (".jpg", photos.small_png, "TYPE_MISMATCH"),
    "html as pdf": (".pdf", lambda: HTML, "TYPE_MISMATCH"),
    "pdf behind something": (".pdf", lambda: b"\n" + documents.pdf(), "TYPE_MISMATCH"),
    "one byte as pdf": (".pdf", lambda: b"%", "TYPE_MISMATCH"),
    "docx as pdf": (".pdf", documents.docx, "TYPE_MISMATCH"),
    "xls as doc": (".doc", documents.xls, "TYPE_MISMATCH"),
    "doc as xls": (".xls", documents.doc, "TYPE_MISMATCH"),
    "docx as doc": (".doc", documents.docx, "TYPE_MISMATCH"),
    "rtf as doc": (".doc", lambda: rb"{\rtf1 x}", "TYPE_MISMATCH"),
    "doc cut short": (".doc", lambda: documents.doc()[:600], "CORRUPT"),
    "doc of a header": (".doc", lambda: documents.doc()[:8], "CORRUPT"),
    "doc without streams": (".doc", documents.compound, "TYPE_MISMATCH"),
    "xlsx as docx": (".docx", documents.xlsx, "TYPE_MISMATCH"),
    "docx as xlsx": (".xlsx", documents.docx, "TYPE_MISMATCH"),
    "doc as docx": (".docx", documents.doc, "TYPE_MISMATCH"),
    "docx with a password": (".docx", documents.with_password, "ENCRYPTED"),
    "xlsx with a password": (".xlsx", documents.with_password, "ENCRYPTED"),
    "encrypted zip": (".docx", documents.encrypted_docx, "ENCRYPTED"),
    "docx with macros": (
        ".docx",
        lambda: documents.docx("application/vnd.ms-word.document.macroEnabled.main+xml"),
        "TYPE_MISMATCH",
    ),
    "zip as docx": (".docx", lambda: documents.package({"a.txt": "x"}), "TYPE_MISMATCH"),
    "empty zip as docx": (".docx", lambda: documents.package({}), "TYPE_MISMATCH"),
    "docx without a list": (
        ".docx",
        lambda: documents.package({"word/document.xml": "x"}),
        "CORRUPT",
    ),
    "docx without a document": (
        ".docx",
        lambda: documents.docx(main_part="word/styles.xml"),
        "TYPE_MISMATCH",
    ),
    "docx cut short": (".docx", lambda: documents.docx()[:-30], "CORRUPT"),
    "program before a docx": (".docx", lambda: b"MZ" + documents.docx(), "TYPE_MISMATCH"),
    "docx packed as no Office can": (
        ".docx",
        lambda: documents.package({"word/document.xml": "x"}, zipfile.ZIP_LZMA),
        "CORRUPT",
    ),
    "docx bomb": (".docx", documents.bomb_docx, "TOO_COMPLEX"),
    "docx of many large parts": (".docx", documents.big_docx, "TOO_COMPLEX"),
    "zip of nothing but names": (".docx", documents.zip_of_many, "TOO_COMPLEX"),
    "zip as csv": (".csv", documents.docx, "NOT_TEXT"),
    "jpeg as csv": (".csv", photos.small_jpeg, "NOT_TEXT"),
    "xls as csv": (".csv", documents.xls, "NOT_TEXT"),
    "NUL in text": (".txt", lambda: b"a\0b", "NOT_TEXT"),
    "control at the far end": (".txt", lambda: b"x" * 3_000_000 + b"\x07", "NOT_TEXT"),
    "UTF-16 cut in the middle": (".txt", lambda: TEXT.encode("utf-16")[:-1], "NOT_TEXT"),
    "half a pair in UTF-16": (".txt", lambda: b"\xff\xfe\x00\xd8a\x00", "NOT_TEXT"),
    "UTF-16 without a mark": (".txt", lambda: TEXT.encode("utf-16-le"), "NOT_TEXT"),
}


@pytest.mark.parametrize(("extension", "make"), GOOD.values(), ids=GOOD.keys())
def test_what_is_what_it_says_is_taken(extension: str, make: Callable[[], bytes]) -> None:
    assert verdict(make(), extension) == "good"


@pytest.mark.parametrize(("extension", "make", "reason"), ODD.values(), ids=ODD.keys())
def test_what_is_not_is_refused(extension: str, make: Callable[[], bytes], reason: str) -> None:
    assert verdict(make(), extension) == reason


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_that_is_taken_is_looked_at(kind: str) -> None:
    assert verdict(b"\0", kind) != "good"


# What content of the attacker's choice may cost


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_broken_documents_are_refused_and_nothing_else_is_raised(data: st.DataObject) -> None:
    extension = data.draw(st.sampled_from(sorted(SAMPLES)))
    content = bytearray(SAMPLES[extension])
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFE, 0xFF]))
    end = data.draw(st.integers(0, len(content)))
    for kind in (extension, ".docx", ".doc"):
        verdict(bytes(content[:end]), kind)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=3000), st.sampled_from(sorted(KINDS)))
def test_no_bytes_at_all_raise_anything_else(content: bytes, extension: str) -> None:
    for head in (b"", b"PK\x03\x04", documents.doc()[:8], documents.doc()[:512]):
        verdict(head + content, extension)


SAMPLES = {".docx": documents.docx(), ".xlsx": documents.xlsx(), ".doc": documents.doc()}
# A zip whose table of contents is just taken; a compound file that is all directory; and what is
# read to the end.
COSTLY: dict[str, tuple[str, Callable[[], bytes]]] = {
    "names": (".docx", lambda: documents.zip_of_many((MAX_TABLE_BYTES - 100_000) // ENTRY)),
    "far too many names": (".docx", lambda: documents.zip_of_many(MAX_FILE_BYTES // ENTRY)),
    "directory": (".doc", lambda: documents.compound("x", sectors_of_directory=100)),
    "text": (".txt", lambda: b"x" * MAX_FILE_BYTES),
    "text in UTF-16": (".txt", lambda: b"\xff\xfe" + b"x\0" * (MAX_FILE_BYTES // 2 - 1)),
    "loop": (".doc", documents.looping_doc),
}


@pytest.mark.parametrize(("extension", "make"), COSTLY.values(), ids=COSTLY.keys())
def test_no_file_costs_much_memory_beside_itself(extension: str, make: Callable[[], bytes]) -> None:
    file = io.BytesIO(make())
    tracemalloc.start()
    try:
        with suppress(ContentRefused):
            check_content(file, KINDS[extension])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 * 1024**2
