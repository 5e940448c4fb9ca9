"""Parts, conditions and lists: moto behind the gate, and answers that moto never gives."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from fieldgate.errors import Unavailable
from fieldgate.sigv4 import Credentials
from fieldgate.storage import ObjectExists, PartsGone, StorageError
from fieldgate.storage.s3 import S3Storage
from fieldgate.storage.settings import Place
from tests.support.s3 import MEDIA, ORIGINALS, STAGING, LocalS3

KEY = "clients/a.pdf"
MIN_PART = 5 * 1024**2
META = {"upload-id": "42"}


@pytest.fixture
def staging(s3_gate: LocalS3) -> S3Storage:
    return S3Storage(s3_gate.place(STAGING), s3_gate.credentials)


def _begin(storage: S3Storage, key: str = KEY) -> str:
    return storage.begin_parts(
        key, content_type="application/pdf", cache_control="private", metadata=META
    )


def _put(storage: S3Storage, key: str, body: bytes = b"abc", *, only_new: bool = False) -> None:
    storage.put(
        key, body, content_type="application/pdf", cache_control="private", only_new=only_new
    )


def test_parts_become_one_object(originals: S3Storage, s3_gate: LocalS3) -> None:
    multipart_id = _begin(originals)
    bodies = [b"a" * MIN_PART, b"b" * MIN_PART, b"c"]

    # In any order, and once more: the last of a number counts.
    originals.put_part(KEY, multipart_id, 1, b"another")
    etags = {
        number: originals.put_part(KEY, multipart_id, number, bodies[number - 1])
        for number in (2, 3, 1)
    }
    assert s3_gate.stored(ORIGINALS) == {}
    originals.complete_parts(KEY, multipart_id, [etags[1], etags[2], etags[3]], only_new=True)

    assert s3_gate.stored(ORIGINALS) == {KEY: b"".join(bodies)}
    head = originals.head(KEY)
    assert head is not None
    assert (head.size, head.content_type, head.metadata) == (
        2 * MIN_PART + 1,
        "application/pdf",
        META,
    )
    assert list(originals.unfinished_parts()) == []


def test_parts_that_were_put_together_are_gone(originals: S3Storage, s3_gate: LocalS3) -> None:
    multipart_id = _begin(originals)
    etags = [originals.put_part(KEY, multipart_id, 1, b"abc")]
    originals.complete_parts(KEY, multipart_id, etags)

    with pytest.raises(PartsGone):
        originals.put_part(KEY, multipart_id, 2, b"def")
    with pytest.raises(PartsGone):
        originals.complete_parts(KEY, multipart_id, etags)
    with pytest.raises(ObjectExists):
        originals.complete_parts(KEY, multipart_id, etags, only_new=True)
    originals.abort_parts(KEY, multipart_id)

    assert s3_gate.stored(ORIGINALS) == {KEY: b"abc"}


def test_giving_parts_up_twice_is_fine(originals: S3Storage, s3_gate: LocalS3) -> None:
    multipart_id = _begin(originals)
    etags = [originals.put_part(KEY, multipart_id, 1, b"abc")]

    originals.abort_parts(KEY, multipart_id)
    originals.abort_parts(KEY, multipart_id)

    with pytest.raises(PartsGone):
        originals.complete_parts(KEY, multipart_id, etags)
    assert s3_gate.stored(ORIGINALS) == {}


def test_parts_too_small_are_a_bug_of_ours(originals: S3Storage) -> None:
    multipart_id = _begin(originals)
    etags = [originals.put_part(KEY, multipart_id, number, b"abc") for number in (1, 2)]

    with pytest.raises(StorageError, match="EntityTooSmall"):
        originals.complete_parts(KEY, multipart_id, etags)


def test_what_was_begun_and_not_finished_is_listed(originals: S3Storage) -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)  # S3 counts in whole seconds
    ids = {(key, _begin(originals, key)) for key in (KEY, KEY, "farmers/ñ b.jpg")}

    found = list(originals.unfinished_parts())

    assert {(parts.key, parts.multipart_id) for parts in found} == ids
    assert all(before <= parts.began_at <= datetime.now(UTC) for parts in found)


def test_parts_of_a_public_bucket_are_public(published: S3Storage, s3_gate: LocalS3) -> None:
    multipart_id = _begin(published)
    published.complete_parts(KEY, multipart_id, [published.put_part(KEY, multipart_id, 1, b"abc")])

    acl = s3_gate.client().get_object_acl(Bucket=MEDIA, Key=KEY)

    assert any("AllUsers" in grant["Grantee"].get("URI", "") for grant in acl["Grants"])


def test_only_a_new_object_is_put_when_only_that_is_wanted(
    originals: S3Storage, s3_gate: LocalS3
) -> None:
    _put(originals, KEY, b"first", only_new=True)

    with pytest.raises(ObjectExists):
        _put(originals, KEY, b"second", only_new=True)
    assert s3_gate.stored(ORIGINALS) == {KEY: b"first"}

    _put(originals, KEY, b"third")
    assert s3_gate.stored(ORIGINALS) == {KEY: b"third"}


def test_parts_are_not_put_together_over_an_object(originals: S3Storage, s3_gate: LocalS3) -> None:
    multipart_id = _begin(originals)
    etags = [originals.put_part(KEY, multipart_id, 1, b"abc")]
    _put(originals, KEY, b"first")

    with pytest.raises(ObjectExists):
        originals.complete_parts(KEY, multipart_id, etags, only_new=True)

    assert s3_gate.stored(ORIGINALS) == {KEY: b"first"}
    # As the Protocol has it: they are still there.
    assert [parts.multipart_id for parts in originals.unfinished_parts()] == [multipart_id]


def test_without_conditional_writes_the_last_one_stays(s3_gate: LocalS3) -> None:
    storage = S3Storage(s3_gate.place(ORIGINALS), s3_gate.credentials, conditional_writes=False)
    _put(storage, KEY, b"first", only_new=True)
    _put(storage, KEY, b"second", only_new=True)
    multipart_id = _begin(storage)
    etags = [storage.put_part(KEY, multipart_id, 1, b"third")]

    storage.complete_parts(KEY, multipart_id, etags, only_new=True)

    assert s3_gate.stored(ORIGINALS) == {KEY: b"third"}


def test_a_list_is_of_all_that_begins_so_in_order(staging: S3Storage) -> None:
    keys = ["staging/a b/00002-ñ", "staging/a b/00001-%2F", "staging/a b/00010+&<"]
    for number, key in enumerate([*keys, "staging/a bc/1", "other"], 1):
        _put(staging, key, b"x" * number)

    found = list(staging.list("staging/a b/"))

    assert [(item.key, item.size) for item in found] == [(keys[1], 2), (keys[0], 1), (keys[2], 3)]
    assert all(item.modified_at.tzinfo for item in found)
    assert list(staging.list("staging/none/")) == []


def test_lists_go_on_where_a_page_ends(staging: S3Storage, s3_gate: LocalS3) -> None:
    client = s3_gate.client()
    for number in range(1, 1003):
        client.put_object(Bucket=STAGING, Key=f"staging/{number:04d}/a", Body=b"")
        if number % 500 == 0:
            client.put_object(Bucket=STAGING, Key=f"staging/{number:04d}/b", Body=b"")

    keys = [item.key for item in staging.list("staging/")]
    folders = list(staging.list_folders("staging/"))

    assert len(keys) == 1004
    assert keys == sorted(set(keys))
    assert folders == [f"{number:04d}" for number in range(1, 1003)]


def test_folders_are_what_is_between_slashes(staging: S3Storage) -> None:
    for key in ["staging/b/1", "staging/b/2", "staging/ñ a/x/y", "staging/file", "c/1"]:
        _put(staging, key)

    assert list(staging.list_folders("staging/")) == ["b", "ñ a"]
    with pytest.raises(ValueError, match="no folder"):
        list(staging.list_folders("staging"))


@pytest.mark.parametrize("key", ["", "/a", "a//b", "../a", "a\n"])
def test_parts_of_what_is_no_key_are_refused_here(originals: S3Storage, key: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: _begin(originals, key),
        lambda: originals.put_part(key, "1", 1, b""),
        lambda: originals.complete_parts(key, "1", []),
        lambda: originals.abort_parts(key, "1"),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="not a storage key"):
            call()


@contextmanager
def _answering(status: int, code: str) -> Iterator[S3Storage]:
    """Yield an adapter to a server that answers everything with this error."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            # The space that S3 sends while it puts the parts together, to keep the line open.
            body = f'   <?xml version="1.0"?><Error><Code>{code}</Code></Error>'.strip().encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 its name there
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    serving = threading.Thread(target=server.serve_forever, args=[0.01])
    serving.start()
    try:
        endpoint = f"http://127.0.0.1:{server.server_port}"
        place = Place(ORIGINALS, "eu-west-1", endpoint, endpoint, path_style=True)
        yield S3Storage(place, Credentials("key", "secret"))
    finally:
        server.shutdown()
        server.server_close()
        serving.join()


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (200, "InternalError", Unavailable),
        (200, "PreconditionFailed", ObjectExists),
        (409, "ConditionalRequestConflict", Unavailable),
        (412, "PreconditionFailed", ObjectExists),
        (404, "NoSuchUpload", PartsGone),
        (400, "InvalidPart", StorageError),
    ],
)
def test_what_s3_says_of_a_completion_is_told_apart_even_after_a_200(
    monkeypatch: pytest.MonkeyPatch, status: int, code: str, expected: type[Exception]
) -> None:
    monkeypatch.setattr("fieldgate.storage.s3_client.ATTEMPTS", 1)

    with _answering(status, code) as storage, pytest.raises(expected) as caught:
        storage.complete_parts(KEY, "1", ['"etag"'], only_new=True)

    assert type(caught.value) is expected
