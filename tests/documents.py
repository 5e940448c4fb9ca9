"""Documents for tests: good ones of each kind, and those that are not what they seem."""

import bz2
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence

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


def lying_package(entries: Sequence[tuple[str, bytes, int, int]]) -> bytes:
    """Zip parts that say of themselves what one likes: name, bytes as packed, method, size."""
    parts, table = b"", b""
    for name, packed, method, size in entries:
        described = struct.pack(
            "<5H3L2H",
            *(20, 0, method, 0, 0x21, zlib.crc32(packed), len(packed), size, len(name), 0),
        )
        table += b"PK\x01\x02" + struct.pack("<H", 20) + described
        table += struct.pack("<3H2L", 0, 0, 0, 0, len(parts)) + name.encode()
        parts += b"PK\x03\x04" + described + name.encode() + packed
    count = len(entries)
    return parts + table + _end_of_zip(count, len(table), len(parts))


def _end_of_zip(count: int, table: int, at: int) -> bytes:
    return struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, table, at, 0)


def list_of_parts(main_type: str, main_part: str) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/{main_part}" ContentType="{main_type}"/></Types>'
    )


def docx_list() -> str:
    return list_of_parts(f"{_DOCX}.main+xml", "word/document.xml")


def docx(
    main_type: str = f"{_DOCX}.main+xml",
    main_part: str = "word/document.xml",
    others: Mapping[str, bytes | str] | None = None,
    compression: int = zipfile.ZIP_DEFLATED,
) -> bytes:
    parts: dict[str, bytes | str] = {
        "[Content_Types].xml": list_of_parts(main_type, main_part),
        "_rels/.rels": "<Relationships/>",
        main_part: "<w:document/>",
    }
    return package(parts | dict(others or {}), compression)


def xlsx() -> bytes:
    return docx(f"{_XLSX}.main+xml", "xl/workbook.xml")


def bomb_docx(megabytes: int = 100) -> bytes:
    """A document with a picture of zeros: a thousand times larger once it is unpacked."""
    return docx(others={"word/media/image1.bmp": bytes(megabytes * 1_000_000)})


def big_docx(parts: int = 600) -> bytes:
    """Many parts, each harmless by itself: 600 MB in all."""
    content = bytes(1_000_000)
    return docx(others={f"word/media/image{number}.bmp": content for number in range(parts)})


def docx_that_lists(*lines: str, encoding: str = "utf-8") -> bytes:
    """A document with more lines in its list of parts."""
    text = docx_list()
    text = text.replace("</Types>", "".join(lines) + "</Types>").replace("UTF-8", encoding)
    return docx(others={"[Content_Types].xml": text.encode(encoding)})


def zeros(megabytes: int, packed: Callable[[Iterator[bytes]], bytes]) -> bytes:
    return packed(bytes(1024**2) for _ in range(megabytes))


def deflated(pieces: Iterator[bytes]) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return b"".join(map(packer.compress, pieces)) + packer.flush()


def badly_deflated(size: int) -> bytes:
    """Pack bytes of 0xff in fixed codes, of nine bits each (RFC 1951, 3.2.6)."""
    bits = "110" + "1" * 9 * size + "0" * 7
    return int(bits[::-1], 2).to_bytes(-(-len(bits) // 8), "little")


def bzip2ed(pieces: Iterator[bytes]) -> bytes:
    packer = bz2.BZ2Compressor()
    return b"".join(map(packer.compress, pieces)) + packer.flush()


def lzmaed(pieces: Iterator[bytes]) -> bytes:
    """Pack as zip does, with the properties in front (APPNOTE.TXT, 5.8.8)."""
    filter_ = {"id": lzma.FILTER_LZMA1, "preset": 0, "dict_size": 1 << 16, "lc": 3, "lp": 0}
    packer = lzma.LZMACompressor(lzma.FORMAT_RAW, filters=[filter_ | {"pb": 2}])
    properties = struct.pack("<2BHBL", 9, 4, 5, 0x5D, 1 << 16)
    return properties + b"".join(map(packer.compress, pieces)) + packer.flush()


def docx_with(name: str, packed: bytes, method: int, size: int) -> bytes:
    """A document with one part, new or instead of its own, that says of itself what one likes."""
    with zipfile.ZipFile(io.BytesIO(docx(compression=zipfile.ZIP_STORED))) as good:
        parts = {part: good.read(part) for part in good.namelist()}
    honest = [(part, content, 0, len(content)) for part, content in parts.items() if part != name]
    return lying_package([*honest, (name, packed, method, size)])


def overlapping_docx(parts: int = 100) -> bytes:
    """Parts that are all the same bytes of the file (Fifield, A better zip bomb, 2019)."""
    content = zeros(1, deflated).ljust(10_000, b"\0")
    many = docx_with("word/media/image1.bmp", content, zipfile.ZIP_DEFLATED, 1024**2)
    at = many.index(b"PK\x01\x02")
    table, end = many[at:-22], many[-22:]
    last = table[table.rindex(b"PK\x01\x02") :]
    table += last * parts
    count = int.from_bytes(end[8:10], "little") + parts
    return many[:at] + table + _end_of_zip(count, len(table), at)


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
    return local + directory + _end_of_zip(min(entries, 0xFFFF), len(directory), len(local))


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
