"""Which names, types and sizes a file may come with, and how each other one is refused."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fieldgate.errors import (
    FieldgateError,
    PayloadTooLarge,
    UnsupportedMediaType,
    ValidationFailed,
)
from uploads.file_rules import (
    DOCUMENT_TYPES,
    MAX_FILE_BYTES,
    MAX_FILENAME_BYTES,
    MAX_PHOTO_BYTES,
    PHOTO_TYPES,
    check_file,
    check_photo,
)

VALIDATION = (400, "VALIDATION_ERROR")
TOO_LARGE = (413, "PAYLOAD_TOO_LARGE")
UNSUPPORTED = (415, "UNSUPPORTED_MEDIA_TYPE")

FILE_TYPES = PHOTO_TYPES | DOCUMENT_TYPES
WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
SHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

ANY_NAME = st.text() | st.builds(
    str.__add__, st.text(), st.sampled_from([*FILE_TYPES, ".JPG", ".csv.txt"])
)


def refusal(
    filename: str = "leaf.jpg", content_type: str = "image/jpeg", size: int = 1000
) -> FieldgateError:
    with pytest.raises(FieldgateError) as raised:
        check_photo(filename, content_type, size)
    return raised.value


@pytest.mark.parametrize(
    ("filename", "content_type", "extension"),
    [
        ("leaf.jpg", "image/jpeg", ".jpg"),
        ("leaf.jpeg", "image/jpeg", ".jpeg"),
        ("leaf.png", "image/png", ".png"),
        ("leaf.webp", "image/webp", ".webp"),
        ("IMG_0042.JPG", "IMAGE/JPEG", ".jpg"),
        ("Plot 3.north.jpg", "image/jpeg", ".jpg"),
        ("2026.01.10 maize.png", "image/png", ".png"),
        ("Mbegu ya mahindi, Ñandú 玉米.jpg", "image/jpeg", ".jpg"),
        ("-rf.jpg", "image/jpeg", ".jpg"),
        ("leaf'; DROP TABLE media;--.jpg", "image/jpeg", ".jpg"),
        ("%2e%2e%2fleaf.jpg", "image/jpeg", ".jpg"),  # no part of ours decodes it
        ("a" * 251 + ".jpg", "image/jpeg", ".jpg"),
        ("\u00e9" * 125 + "a.jpg", "image/jpeg", ".jpg"),  # 255 bytes
    ],
)
def test_a_photo_by_its_plain_name_is_taken(
    filename: str, content_type: str, extension: str
) -> None:
    photo = check_photo(filename, content_type, 1)
    assert (photo.filename, photo.extension) == (filename, extension)
    assert photo.content_type == content_type.lower()


def test_a_decomposed_name_is_kept_composed() -> None:
    assert check_photo("cafe\u0301.jpg", "image/jpeg", 1).filename == "caf\u00e9.jpg"


@pytest.mark.parametrize(
    "filename",
    [
        "../leaf.jpg",
        "..\\leaf.jpg",
        "farmers/leaf.jpg",
        "/etc/leaf.jpg",
        "C:\\leaf.jpg",
        "leaf..jpg",
        "..jpg",
        "\uff0e\uff0e\uff0fleaf.jpg",  # full-width ../
        "\u2025/leaf.jpg",  # two dots in one character
        "\u2024\u2024leaf.jpg",  # one-dot leaders
        "a\uff0fleaf.jpg",  # full-width slash
        "a\uff3cleaf.jpg",  # full-width backslash
        "a\u2044leaf.jpg",  # fraction slash
        "a\u2215leaf.jpg",  # division slash
        "a\u29f8leaf.jpg",  # big solidus
        "a\u2216leaf.jpg",  # set minus
        "\u2105leaf.jpg",  # "care of", which holds a slash
    ],
)
def test_a_name_with_folders_or_what_looks_like_them_is_refused(filename: str) -> None:
    error = refusal(filename)
    assert (error.status, error.code) == VALIDATION
    assert [(d.field, d.message) for d in error.details] == [
        ("filename", "must be a plain file name, without folders")
    ]


@pytest.mark.parametrize(
    "filename",
    [
        "leaf\0.jpg",
        "leaf.php\0.jpg",
        "leaf\n.jpg",
        "leaf\x1b[2J.jpg",
        "leaf\x7f.jpg",
        "leaf\x85.jpg",
        "leaf\u202egpj.exe.jpg",  # right-to-left override
        "leaf\u2066gpj.jpg",  # left-to-right isolate
        "leaf\u200b.jpg",  # zero-width space
        "leaf\u2028.jpg",  # line separator
        "leaf\u2029.jpg",  # paragraph separator
        "\ufeffleaf.jpg",  # byte order mark
        "leaf\ud800.jpg",  # half a surrogate pair
        "leaf\ue000.jpg",  # private use
    ],
)
def test_a_name_with_control_or_invisible_characters_is_refused(filename: str) -> None:
    error = refusal(filename)
    assert (error.status, error.code) == VALIDATION
    assert error.details[0].message == "has control or invisible characters"


@pytest.mark.parametrize(
    "filename",
    [
        "leaf.php.jpg",
        "leaf.jpg.jpg",
        "leaf.png.jpg",
        "leaf.PHP.jpg",
        "leaf.exe.jpg",
        "leaf.php .jpg",
        ".php.jpg",
        ".jpg.jpg",
        "leaf\u2024php.jpg",  # a one-dot leader
        "leaf\uff0ephp.jpg",  # a full-width full stop
        "leaf.\uff50\uff48\uff50.jpg",  # full-width letters
    ],
)
def test_a_name_with_two_extensions_is_refused(filename: str) -> None:
    error = refusal(filename)
    assert (error.status, error.code) == VALIDATION
    assert error.details[0].message == "has two extensions"


@pytest.mark.parametrize(
    "filename",
    [
        "",
        "leaf",
        ".jpg",
        "leaf.",
        "leaf.jpg.",
        "leaf.jpg ",
        "leafjpg",
        "leaf.gif",
        "leaf.svg",
        "leaf.heic",
        "leaf.pdf",
        "leaf.jpg.exe",
        "leaf.jpg;.asp",
        "leaf.\uff4a\uff50\uff47",  # full-width jpg
        "leaf.j\u0440g",  # a Cyrillic er
        "leaf\u2024jpg",  # a one-dot leader
        "leaf\u3002jpg",  # an ideographic full stop
    ],
)
def test_a_name_without_the_extension_of_a_photo_is_refused(filename: str) -> None:
    error = refusal(filename)
    assert (error.status, error.code) == UNSUPPORTED


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/html",
        "image/gif",
        "image/svg+xml",
        "image/jpg",
        "image/jpeg; charset=utf-8",
        "image/jpeg\r\nx-amz-acl: public-read",
        " image/jpeg",
        "application/octet-stream",
    ],
)
def test_a_type_that_is_no_photo_is_refused(content_type: str) -> None:
    error = refusal(content_type=content_type)
    assert (error.status, error.code) == UNSUPPORTED


@pytest.mark.parametrize(
    ("filename", "content_type"),
    [("leaf.jpg", "image/png"), ("leaf.png", "image/jpeg"), ("leaf.webp", "image/png")],
)
def test_a_type_that_does_not_fit_the_extension_is_refused(
    filename: str, content_type: str
) -> None:
    error = refusal(filename, content_type)
    assert (error.status, error.code) == VALIDATION
    assert error.details[0].field == "contentType"


def test_a_name_over_255_bytes_is_refused_however_few_its_characters() -> None:
    error = refusal("\u00e9" * 126 + ".jpg")  # 256 bytes, 130 characters
    assert (error.status, error.code) == VALIDATION
    assert error.details[0].message == "may be 255 bytes at most"
    assert refusal("a" * 252 + ".jpg").status == 400


@pytest.mark.parametrize("size", [1, MAX_PHOTO_BYTES - 1, 5_242_880])
def test_a_size_up_to_5_mib_is_taken(size: int) -> None:
    assert check_photo("leaf.jpg", "image/jpeg", size).size == size


@pytest.mark.parametrize("size", [0, -1, -(10**30)])
def test_no_bytes_and_fewer_are_refused(size: int) -> None:
    error = refusal(size=size)
    assert (error.status, error.code) == VALIDATION
    assert error.details[0].field == "size"


@pytest.mark.parametrize("size", [5_242_881, 10**30])
def test_a_size_over_5_mib_is_refused(size: int) -> None:
    error = refusal(size=size)
    assert (error.status, error.code) == TOO_LARGE


@given(ANY_NAME, st.sampled_from([*PHOTO_TYPES.values()]) | st.text(), st.integers())
@example("\ud800.jpg", "image/jpeg", 1)
@example("\0", "\0", 0)
def test_whatever_comes_it_is_a_photo_by_the_whitelist_or_refused_as_documented(
    filename: str, content_type: str, size: int
) -> None:
    try:
        photo = check_photo(filename, content_type, size)
    except (ValidationFailed, UnsupportedMediaType, PayloadTooLarge):
        return
    assert PHOTO_TYPES[photo.extension] == photo.content_type
    assert 0 < photo.size <= MAX_PHOTO_BYTES
    assert 0 < len(photo.filename.encode()) <= MAX_FILENAME_BYTES
    assert not set(photo.filename) & set("\0\n\r/\\\u2028\u202e")


# Files in chunks


@pytest.mark.parametrize(
    ("filename", "content_type", "taken_as"),
    [
        ("leaf.jpg", "image/jpeg", "image/jpeg"),
        ("Lease.PDF", "application/pdf", "application/pdf"),
        ("letter.doc", "application/msword", "application/msword"),
        ("letter.docx", WORD, WORD),
        ("prices.xls", "application/vnd.ms-excel", "application/vnd.ms-excel"),
        ("prices.xlsx", SHEET, SHEET),
        ("prices.csv", "text/csv", "text/csv"),
        ("prices.csv", "text/csv; charset=utf-8", "text/csv"),
        ("prices.csv", "Application/vnd.MS-Excel", "text/csv"),  # as Windows has it
        ("notes.txt", "text/plain ;charset=windows-1252;format=flowed", "text/plain"),
        ("notes.txt", "TEXT/PLAIN", "text/plain"),
        ("Plot 3.north.txt", "text/plain", "text/plain"),
    ],
)
def test_a_document_is_taken_by_its_extension_and_type(
    filename: str, content_type: str, taken_as: str
) -> None:
    file = check_file(filename, content_type, 1)
    assert (file.filename, file.content_type) == (filename, taken_as)
    assert FILE_TYPES[file.extension] == taken_as


@pytest.mark.parametrize(
    ("filename", "content_type", "expected"),
    [
        ("prices.xls", "text/csv", VALIDATION),
        ("prices.txt", "application/vnd.ms-excel", VALIDATION),
        ("letter.doc", WORD, VALIDATION),
        ("leaf.jpg", "application/pdf", VALIDATION),
        ("letter.pdf.docx", WORD, VALIDATION),
        ("letter.docx.pdf", "application/pdf", VALIDATION),
        ("prices.csv.txt", "text/plain", VALIDATION),
        ("../letter.pdf", "application/pdf", VALIDATION),
        ("clients\\letter.pdf", "application/pdf", VALIDATION),
        ("letter.docm", WORD, UNSUPPORTED),
        ("letter.pdf", "application/octet-stream", UNSUPPORTED),
        ("letter.pdf", "", UNSUPPORTED),
        ("letter.pdf", ";", UNSUPPORTED),
        ("letter.pdf", " application/pdf", UNSUPPORTED),
        ("page.html", "text/html", UNSUPPORTED),
        ("notes.txt", "text/html", UNSUPPORTED),
        ("notes.txt", "text/plain\r\nx-amz-acl: public-read", UNSUPPORTED),
    ],
)
def test_what_is_no_document_of_its_type_is_refused(
    filename: str, content_type: str, expected: tuple[int, str]
) -> None:
    with pytest.raises(FieldgateError) as raised:
        check_file(filename, content_type, 1)
    assert (raised.value.status, raised.value.code) == expected


@pytest.mark.parametrize("filename", [f"file{extension}" for extension in DOCUMENT_TYPES])
def test_a_document_is_no_photo(filename: str) -> None:
    kind = DOCUMENT_TYPES[f".{filename.rpartition('.')[2]}"]
    assert refusal(filename, kind).status == 415


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (-(10**30), VALIDATION),
        (-1, VALIDATION),
        (0, VALIDATION),
        (52_428_801, TOO_LARGE),
        (10**30, TOO_LARGE),
    ],
)
def test_no_bytes_and_more_than_50_mib_are_refused(size: int, expected: tuple[int, str]) -> None:
    with pytest.raises(FieldgateError) as raised:
        check_file("leaf.jpg", "image/jpeg", size)
    assert (raised.value.status, raised.value.code) == expected


@pytest.mark.parametrize("size", [1, MAX_PHOTO_BYTES, MAX_PHOTO_BYTES + 1, 52_428_800])
def test_in_chunks_a_photo_may_be_as_large_as_any_file(size: int) -> None:
    assert check_file("leaf.jpg", "image/jpeg", size).size == size


@given(ANY_NAME, st.sampled_from([*FILE_TYPES.values()]) | st.text(), st.integers())
def test_whatever_comes_it_is_a_file_by_the_whitelist_or_refused_as_documented(
    filename: str, content_type: str, size: int
) -> None:
    try:
        file = check_file(filename, content_type, size)
    except (ValidationFailed, UnsupportedMediaType, PayloadTooLarge):
        return
    assert FILE_TYPES[file.extension] == file.content_type
    assert 0 < file.size <= MAX_FILE_BYTES
    assert not set(file.filename) & set("\0\n\r/\\\u2028\u202e")
