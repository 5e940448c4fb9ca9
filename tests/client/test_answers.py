"""What is no answer of the server's is said to be none, whatever it looks like."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fieldgate_client.answers import MAX_ANSWER_BYTES, Answer, Fields, body_of, read
from fieldgate_client.errors import ApiError, NetworkError

META = {"timestamp": "2026-01-10T10:00:00.000Z"}
ERROR = {"code": "CONFLICT", "message": "No.", "details": []}
# A busy machine is slow; that is not what is tested.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def said(status: int, body: bytes | str, **headers: str) -> Answer:
    content = body if isinstance(body, bytes) else body.encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return read(httpx.Response(status, headers=named), content)


def success(data: Any) -> Answer:
    return said(200, json.dumps({"success": True, "data": data, "meta": META}))


@pytest.mark.parametrize(
    "body",
    [
        {"success": True, "data": {}},
        {"success": True, "meta": META},
        {"success": True, "data": {}, "meta": None},
        {"success": True, "data": {}, "meta": {"timestamp": 5}},
        {"success": True, "data": {}, "meta": {"timestamp": "tomorrow"}},
        {"success": True, "data": {}, "meta": {"timestamp": "2026-01-10T10:00:00"}},
        {"success": "yes", "data": {}, "meta": META},
        {"success": False, "error": ERROR},
        {"data": {}, "meta": META},
        [1],
        "text",
        None,
    ],
)
def test_a_success_of_another_shape(body: object) -> None:
    with pytest.raises(NetworkError, match="Not the server's answer"):
        said(200, json.dumps(body))


@pytest.mark.parametrize(
    "error",
    [
        "no",
        None,
        {"code": "CONFLICT"},
        ERROR | {"code": 7},
        ERROR | {"message": None},
        ERROR | {"details": "all of it"},
        ERROR | {"details": ["a"]},
        ERROR | {"details": [{"field": "missing", "message": 7}]},
    ],
)
def test_a_refusal_of_another_shape(error: object) -> None:
    body = json.dumps({"success": False, "error": error})
    with pytest.raises(NetworkError, match="Not the server's answer"):
        said(409, body)
    # The gateway's answers have no shape that counts.
    with pytest.raises(ApiError) as refused:
        said(503, body, Retry_After="7")
    assert (refused.value.status, refused.value.code, refused.value.retry_after) == (503, "", 7)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Welcome",
        b"\xff\xfe",
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b'{"success": true, "data": NaN, "meta": {"timestamp": "2026-01-10T10:00:00Z"}}',
        rb'{"success": true, "data": "\ud800", "meta": {"timestamp": "2026-01-10T10:00:00Z"}}',
        rb'{"success": true, "data": {"\udfff": 1}, "meta": {"timestamp": "2026-01-10T10:00:00Z"}}',
        b'{"success": true, "data": ' + b"9" * 5000 + b"}",
    ],
)
def test_what_is_no_json_or_cannot_be_kept(body: bytes) -> None:
    with pytest.raises(NetworkError, match="Not the server's answer"):
        said(200, body)


@PATIENT
@given(st.sampled_from([200, 201, 302, 400, 409, 429, 500]), JSON)
def test_no_json_is_a_traceback(status: int, content: object) -> None:
    for body in (content, {"success": True, "data": content}, {"success": False, "error": content}):
        with pytest.raises((NetworkError, ApiError)):
            said(status, json.dumps(body))


READERS: list[Callable[[Fields], object]] = [
    lambda found: found.text("it"),
    lambda found: found.text_or_none("it"),
    lambda found: found.name("it"),
    lambda found: found.visible("it"),
    lambda found: found.truth("it"),
    lambda found: found.whole("it", 1, 9),
    lambda found: found.number("it", 0.5, 9),
    lambda found: found.numbers("it", 9),
    lambda found: found.texts("it"),
    lambda found: found.moment("it"),
    lambda found: found.within("it"),
    lambda found: found.each("it"),
    lambda found: found.headers("it"),
]


@PATIENT
@given(st.sampled_from(READERS), JSON)
def test_no_field_is_a_traceback(reader: Callable[[Fields], object], value: object) -> None:
    for found in ({"it": value}, {}):
        try:
            reader(Fields(found))
        except NetworkError as error:
            assert str(error).startswith("Not the server's answer")  # noqa: PT017 it may be right


@pytest.mark.parametrize(
    ("reader", "wrong"),
    [
        (lambda found: found.whole("it", 1, 9), [0, 10, 1.0, True, "1", None, 10**400]),
        (lambda found: found.number("it", 0.5, 9), [0, 10, True, "1", 10**400, 1e999]),
        (lambda found: found.numbers("it", 9), [[0], [10], [True], [1.0], ["1"], [[1]], 1, {}]),
        (lambda found: found.texts("it"), [["a", 1], [None], "a", {"a": "b"}, 1]),
        (lambda found: found.name("it"), ["", "../x", "a/b", "a?b", "é", "a" * 65, "a\n", 1]),
        (lambda found: found.visible("it"), ["", "a b", "a\r\nb", "é", "\x1b", 1]),
        (lambda found: found.moment("it"), ["", "soon", 5, "2026-01-10T10:00:00"]),
        (
            lambda found: found.headers("it"),
            [{"A": 1}, {"A": "b\r\nC: d"}, {"A": "é"}, {"A b": "c"}, {"": "c"}, []],
        ),
    ],
)
def test_what_is_not_as_it_has_to_be(
    reader: Callable[[Fields], object], wrong: list[object]
) -> None:
    for value in wrong:
        with pytest.raises(NetworkError):
            reader(Fields({"it": value}))


def test_what_is_as_it_has_to_be() -> None:
    found = success(
        {"n": 5, "half": 0.5, "list": [3, 1, 3], "id": "a-b_1", "h": {"Content-Length": "7"}}
    ).fields
    assert found.whole("n", 5, 5) == found.number("n", 5, 5) == 5
    assert found.number("half", 0, 1) == 0.5
    assert found.numbers("list", 3) == [1, 3]
    assert found.name("id") == "a-b_1"
    assert found.headers("h") == {"Content-Length": "7"}
    assert found.text_or_none("nothing") is None
    assert found.truth("nothing") is False


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        ("-5", None),
        ("9" * 400, None),
        ("²", None),
        ("tomorrow", None),
        ("Fri, 20 Nov 2026 15:00:00 GMT", 3600),
        ("Fri, 20 Nov 2026 13:00:00 GMT", 0),
        # No zone is known, so it can't be compared.
        ("Fri, 20 Nov 2026 15:00:00 -0000", None),
        ("Fri, 20 Nov 99999999999 15:00:00 GMT", None),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    headers = {b"Retry-After": value.encode(), b"Date": b"Fri, 20 Nov 2026 14:00:00 GMT"}
    with pytest.raises(ApiError) as refused:
        read(httpx.Response(503, headers=headers), b"")
    assert refused.value.retry_after == seconds


def streamed(pieces: AsyncIterator[bytes], **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(200, headers=named, content=pieces)


def test_a_body_is_read_to_its_limit_and_no_further() -> None:
    came = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal came
        while True:
            came += 65536
            yield bytes(65536)

    assert asyncio.run(body_of(streamed(pieces()))) is None
    assert came <= MAX_ANSWER_BYTES + 65536
    with pytest.raises(NetworkError, match="too long"):
        read(httpx.Response(200), None)


def test_a_body_up_to_the_limit_is_whole() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(4):
            yield b"ab"

    assert asyncio.run(body_of(streamed(pieces()), 8)) == b"abababab"
    assert asyncio.run(body_of(streamed(pieces()), 7)) is None


def test_a_packed_body_is_not_unpacked() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        raise AssertionError("nothing of it is read")
        yield gzip.compress(bytes(100))

    assert asyncio.run(body_of(streamed(pieces(), Content_Encoding="gzip"))) is None
