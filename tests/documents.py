"""Documents for tests: good ones of each kind, and those that are not what they seem."""

import io
import struct
import zipfile
from collections.abc import Mapping

_DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_SECTOR = 512
_FREE, _END, _FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD


def package(parts: Mapping[str, bytes | str], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Zip `parts`, as Office does."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return out.getvalue()


def list_of_parts(main_type: str, main_part: str) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/{main_part}" ContentType="{main_type}"/></Types>'
    )


def docx(
    main_type: str = f"{_DOCX}.main+xml",
    main_part: str = "word/document.xml",
    others: Mapping[str, bytes] | None = None,
) -> bytes:
    parts: dict[str, bytes | str] = {
        "[Content_Types].xml": list_of_parts(main_type, main_part),
        "_rels/.rels": "<Relationships/>",
        main_part: "<w:document/>",
    }
    return package(parts | dict(others or {}))


def xlsx() -> bytes:
    return docx(f"{_XLSX}.main+xml", "xl/workbook.xml")


def bomb_docx(megabytes: int = 100) -> bytes:
    """A document with a picture of zeros: a thousand times larger once it is unpacked."""
    return docx(others={"word/media/image1.bmp": bytes(megabytes * 1_000_000)})


def big_docx(parts: int = 600) -> bytes:
    """Many parts, each harmless by itself: 600 MB in all."""
    content = bytes(1_000_000)
    return docx(others={f"word/media/image{number}.bmp": content for number in range(parts)})


def encrypted_docx() -> bytes:
    """A zip whose entries are encrypted (bit 0 of their flags), which no Office writes."""
    content = bytearray(docx())
    at = 0
    while (at := content.find(b"PK\x01\x02", at)) >= 0:
        content[at + 8] |= 1
        at += 4
    return bytes(content)


def zip_of_many(entries: int = 500_000) -> bytes:
    """A table of contents and nothing else: 50 bytes a piece that a reader makes objects of."""
    local = struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    directory = b"".join(
        struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, 20, *[0] * 4, 0, 0, 0, 4, *[0] * 6)
        + number.to_bytes(3).hex()[:4].encode()
        for number in range(entries)
    )
    count = min(entries, 0xFFFF)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, len(directory), len(local), 0)
    return local + directory + end


def compound(*streams: str, sectors_of_directory: int = 1) -> bytes:
    """Return a compound file (MS-CFB, version 3) with `streams`, up to three, of 4 KiB each."""
    stream_sectors = 4096 // _SECTOR
    first = 1 + sectors_of_directory
    fat = [_FAT, *range(2, first), _END]
    entries = [_entry("Root Entry", 5, child=1 if streams else _FREE, start=_END, size=0)]
    for index, name in enumerate(streams):
        start = first + index * stream_sectors
        fat += [*range(start + 1, start + stream_sectors), _END]
        right = index + 2 if index + 1 < len(streams) else _FREE
        entries.append(_entry(name, 2, right=right, start=start, size=4096))
    fat += [_FREE] * (_SECTOR // 4 - len(fat))
    header = struct.pack(
        "<8s16s6H10L",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        bytes(16),
        *(0x3E, 3, 0xFFFE, 9, 6, 0),
        *(0, 0, 1, 1, 0, 4096, _END, 0, _END, 0),
    )
    header += struct.pack("<109L", 0, *[_FREE] * 108)
    directory = b"".join(entries).ljust(sectors_of_directory * _SECTOR, b"\0")
    return header + struct.pack("<128L", *fat) + directory + bytes(4096 * len(streams))


def _entry(
    name: str, kind: int, *, start: int, size: int, child: int = _FREE, right: int = _FREE
) -> bytes:
    encoded = f"{name}\0".encode("utf-16-le")
    return struct.pack(
        "<64sHBB3L16sLQQLQ",
        encoded,
        len(encoded),
        *(kind, 1),
        *(_FREE, right, child),
        bytes(16),
        *(0, 0, 0),
        *(start, size),
    )


def doc() -> bytes:
    return compound("WordDocument", "1Table")


def xls() -> bytes:
    return compound("Workbook")


def old_xls() -> bytes:
    return compound("Book")


def looping_doc() -> bytes:
    """A compound file whose table of sectors (FAT) leads round and round, for 50 MiB."""
    content = bytearray(compound().ljust(50 * 1024**2, b"\0"))
    content[0x2C:0x30] = (109).to_bytes(4, "little")
    content[0x4C:0x200] = struct.pack("<109L", *[0] * 109)
    content[0x200:0x400] = struct.pack("<128L", *[1] * 128)
    return bytes(content)


def with_password() -> bytes:
    """What Office makes of a .docx or .xlsx that has one."""
    return compound("EncryptedPackage", "EncryptionInfo")


def pdf() -> bytes:
    return b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<</Type /Catalog>>\nendobj\n%%EOF\n"
