"""Which content passes for which type, and what odd content costs."""

import errno
import io
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import override

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import documents, photos
from tests.documents import bzip2ed, deflated, lzmaed
from uploads.compound_files import MAX_TABLE_BYTES
from uploads.content_refused import ContentRefused
from uploads.documents import check_content
from uploads.file_rules import DOCUMENT_TYPES, MAX_FILE_BYTES, PHOTO_TYPES
from uploads.packages import MAX_LIST_BYTES, MAX_UNPACKED_BYTES

KINDS = PHOTO_TYPES | DOCUMENT_TYPES
TEXT = "Mkulima;Bei (KSh);Größe\nWanjikũ;1 200;grün\n"
HTML = b"<html><script>alert(1)</script></html>"
ENTRY = 50
LIST = "[Content_Types].xml"
PICTURE = "word/media/image1.bmp"
MACROS = "application/vnd.ms-word.document.macroEnabled.main+xml"
STORED, DEFLATED, BZIP2, LZMA = 0, 8, 12, 14
PACKED_64_MB = documents.zeros(64, documents.deflated)
# Of a megabyte: few enough for what may be unpacked.
MANY = MAX_UNPACKED_BYTES // 1_000_000 - 1


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
    "docx whose main part is elsewhere": (".docx", lambda: documents.docx(main_part="main.xml")),
    "docx whose main part is written with a slash": (
        ".docx",
        lambda: documents.docx(main_part="/word/document.xml"),
    ),
    "docx of old .NET": (
        ".docx",
        lambda: documents.package(
            {
                "[Content_Types].xml": documents.docx_list(),
                "word\\document.xml": "<w:document/>",
            }
        ),
    ),
    "docx with an empty picture of 3 MB": (".docx", lambda: documents.bomb_docx(3)),
    "docx with a sheet of macros inside": (
        ".docx",
        lambda: documents.docx_that_lists(
            '<Default Extension="xlsm" ContentType="application/vnd.ms-excel.sheet'
            '.macroEnabled.12"/>'
        ),
    ),
    "docx with all parts stored": (".docx", lambda: documents.docx(compression=STORED)),
    "docx that packs badly": (
        ".docx",
        lambda: documents.docx_with(PICTURE, documents.badly_deflated(80_000), DEFLATED, 80_000),
    ),
    "docx whose list is in UTF-16": (
        ".docx",
        lambda: documents.docx_that_lists(encoding="utf-16"),
    ),
    "docx with a document in it": (
        ".docx",
        lambda: documents.docx(others={"word/embeddings/a.docx": documents.docx()}),
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
    "docx with macros": (".docx", lambda: documents.docx(MACROS), "TYPE_MISMATCH"),
    "docx with macros by its parts": (
        ".docx",
        lambda: documents.docx(others={"word/vbaProject.bin": b"x"}),
        "TYPE_MISMATCH",
    ),
    "docx with macros elsewhere": (
        ".docx",
        lambda: documents.docx(others={"custom\\VBAPROJECT.BIN": b"x"}),
        "TYPE_MISMATCH",
    ),
    "docx with macros by its list": (
        ".docx",
        lambda: documents.docx_that_lists(f'<Override PartName="/a" ContentType="{MACROS}"/>'),
        "TYPE_MISMATCH",
    ),
    "docx with macros, written otherwise": (
        ".docx",
        lambda: documents.docx_that_lists(
            f'<Override PartName="/a" ContentType="{MACROS.replace("E", "&#69;")}"/>'
        ),
        "TYPE_MISMATCH",
    ),
    "docx with its type in a comment": (
        ".docx",
        lambda: documents.docx(others={LIST: f"<Types><!-- {KINDS['.docx']}.main+xml --></Types>"}),
        "TYPE_MISMATCH",
    ),
    "docx with two lists": (
        ".docx",
        lambda: documents.docx(others={LIST.lower(): "<Types/>"}),
        "CORRUPT",
    ),
    "docx with a list that defines": (
        ".docx",
        lambda: documents.docx(others={LIST: '<!DOCTYPE a [<!ENTITY b "c">]><a/>'}),
        "CORRUPT",
    ),
    "docx with a list that is none": (
        ".docx",
        lambda: documents.docx(others={LIST: "<Types>"}),
        "CORRUPT",
    ),
    "docx with an endless list": (
        ".docx",
        lambda: documents.docx_that_lists(*["<Default/>"] * (MAX_LIST_BYTES // 10)),
        "TOO_COMPLEX",
    ),
    "zip as docx": (".docx", lambda: documents.package({"a.txt": "x"}), "TYPE_MISMATCH"),
    "empty zip as docx": (".docx", lambda: documents.package({}), "TYPE_MISMATCH"),
    "docx without a list": (
        ".docx",
        lambda: documents.package({"word/document.xml": "x"}),
        "TYPE_MISMATCH",
    ),
    "docx without a document": (
        ".docx",
        lambda: documents.package({"[Content_Types].xml": documents.docx_list()}),
        "TYPE_MISMATCH",
    ),
    "docx cut short": (".docx", lambda: documents.docx()[:-30], "CORRUPT"),
    "program before a docx": (".docx", lambda: b"MZ" + documents.docx(), "TYPE_MISMATCH"),
    "docx in bzip2": (".docx", lambda: documents.docx(compression=BZIP2), "CORRUPT"),
    "docx in LZMA": (".docx", lambda: documents.docx(compression=LZMA), "CORRUPT"),
    "docx with one part in bzip2": (
        ".docx",
        lambda: documents.docx_with(PICTURE, documents.zeros(1, documents.bzip2ed), BZIP2, 2**20),
        "CORRUPT",
    ),
    "docx with a stored part longer than it says": (
        ".docx",
        lambda: documents.docx_with(PICTURE, b"xx", STORED, 1),
        "CORRUPT",
    ),
    "docx with a stored part shorter than it says": (
        ".docx",
        lambda: documents.docx_with(PICTURE, b"x", STORED, 2),
        "CORRUPT",
    ),
    "docx with a bomb that says it is small": (
        ".docx",
        lambda: documents.docx_with(PICTURE, PACKED_64_MB, DEFLATED, 1000),
        "CORRUPT",
    ),
    "docx of parts that overlap": (".docx", documents.overlapping_docx, "CORRUPT"),
    "docx bomb": (".docx", documents.bomb_docx, "TOO_COMPLEX"),
    "docx bomb of small parts": (".docx", lambda: documents.big_docx(MANY), "TOO_COMPLEX"),
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


def lying_list(packed: Callable[[Iterator[bytes]], bytes], method: int, size: int = 900) -> bytes:
    """A document whose list of parts is a quarter of a gigabyte."""
    return documents.docx_with(LIST, documents.zeros(256, packed), method, size)


# A zip whose table of contents is just taken; a compound file that is all directory; and what is
# read to the end.
COSTLY: dict[str, tuple[str, Callable[[], bytes]]] = {
    "names": (".docx", lambda: documents.zip_of_many((MAX_TABLE_BYTES - 100_000) // ENTRY)),
    "far too many names": (".docx", lambda: documents.zip_of_many(MAX_FILE_BYTES // ENTRY)),
    "directory": (".doc", lambda: documents.compound("x", sectors_of_directory=100)),
    "list in bzip2": (".docx", lambda: lying_list(bzip2ed, BZIP2)),
    "list in LZMA": (".docx", lambda: lying_list(lzmaed, LZMA)),
    "list that says it is small": (".docx", lambda: lying_list(deflated, DEFLATED)),
    "list of as much as it is packed to": (
        ".docx",
        lambda: lying_list(deflated, DEFLATED, 300_000),
    ),
    "list of one name inside the other": (
        ".docx",
        lambda: documents.docx_that_lists("<a>" * 100_000 + "</a>" * 100_000),
    ),
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


# What is not the file's fault


class Failing(io.BytesIO):
    """A file on a disk that fails from some read on, as a full or broken one does."""

    reads_left = 0

    @override
    def read(self, size: int | None = -1) -> bytes:
        if self.reads_left == 0:
            raise OSError(errno.EIO, "on purpose")
        self.reads_left -= 1
        return super().read(size)


@pytest.mark.parametrize("kind", GOOD)
def test_what_cannot_be_read_is_not_refused(kind: str) -> None:
    extension, make = GOOD[kind]
    file = Failing(make())

    def fails_after(reads: int) -> bool:
        file.reads_left = reads
        try:
            check_content(file, KINDS[extension])
        except OSError as error:
            return error.errno == errno.EIO
        return False

    failures = next(reads for reads in range(1000) if not fails_after(reads))
    assert failures > 0


class Exhausting(io.BytesIO):
    """A file for which there is no memory."""

    @override
    def read(self, size: int | None = -1) -> bytes:
        raise MemoryError


@pytest.mark.parametrize("kind", GOOD)
def test_what_there_is_no_memory_for_is_not_refused(kind: str) -> None:
    extension, make = GOOD[kind]
    with pytest.raises(MemoryError):
        check_content(Exhausting(make()), KINDS[extension])


def test_wherever_a_file_has_its_reader_go_it_is_the_files_fault(tmp_path: Path) -> None:
    """Systems refuse to go before the beginning or too far behind the end, by an OSError."""
    sent = tmp_path / "sent"
    good = documents.docx()
    end = good.rindex(b"PK\x05\x06")
    for field in (12, 16):  # the length of the table of contents, and where it begins
        for value in (0, 1, len(good), 2**31, 2**32 - 2):
            at = end + field
            sent.write_bytes(good[:at] + value.to_bytes(4, "little") + good[at + 4 :])
            with sent.open("rb") as file, pytest.raises(ContentRefused):
                check_content(file, KINDS[".docx"])
    sent.write_bytes(b"PK\x03\x04")
    with sent.open("rb") as file, pytest.raises(ContentRefused):
        check_content(file, KINDS[".docx"])
