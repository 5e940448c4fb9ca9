"""The adapter against S3's API: moto behind the gate."""

import hashlib
import socket
import threading
from datetime import timedelta

import httpx
import pytest

from fieldgate.errors import Unavailable
from fieldgate.sigv4 import Credentials
from fieldgate.storage import ObjectMissing, ObjectTooLarge, StorageError
from fieldgate.storage.s3 import S3Storage
from fieldgate.storage.settings import Place
from local.faults import FaultMode
from tests.support.ports import free_port
from tests.support.s3 import MEDIA, ORIGINALS, LocalS3

PHOTO = b"\xff\xd8 a photo"
HOUR = timedelta(hours=1)
KEYS = Credentials("key", "secret")
ODD_KEYS = ["farmers/a b+c%20&d=e?f#g.jpg", "uploads/mkulima-ñandú-農夫.jpg", "uploads/%2F%00.jpg"]


def _put(storage: S3Storage, key: str, body: bytes = PHOTO) -> None:
    storage.put(key, body, content_type="image/jpeg", cache_control="private")


@pytest.mark.parametrize("key", ODD_KEYS)
def test_what_is_put_reads_back_under_its_very_key(
    originals: S3Storage, s3_gate: LocalS3, key: str
) -> None:
    _put(originals, key)

    assert s3_gate.stored(ORIGINALS) == {key: PHOTO}
    assert originals.read(key, max_bytes=len(PHOTO)) == PHOTO


@pytest.mark.parametrize("key", ODD_KEYS)
def test_a_presigned_upload_and_download_work_for_any_key(originals: S3Storage, key: str) -> None:
    upload = originals.presign_put(
        key,
        content_type="image/jpeg",
        content_length=len(PHOTO),
        sha256=hashlib.sha256(PHOTO).digest(),
        expires_in=HOUR,
    )

    answer = httpx.request(upload.method, upload.url, headers=upload.headers, content=PHOTO)
    assert answer.status_code == 200, answer.text

    download = httpx.get(originals.presign_get(key, expires_in=HOUR, download_as="Foto ñ.jpg"))
    assert download.status_code == 200, download.text
    assert download.content == PHOTO


def test_signing_with_temporary_credentials_works(s3_gate: LocalS3) -> None:
    keys = s3_gate.credentials
    temporary = Credentials(keys.access_key, keys.secret_key, token="a+session/token==")
    storage = S3Storage(s3_gate.place(ORIGINALS), temporary)

    upload = storage.presign_put(
        "uploads/a.jpg", content_type="image/jpeg", content_length=3, expires_in=HOUR
    )

    answer = httpx.put(upload.url, headers=upload.headers, content=b"abc")
    assert answer.status_code == 200, answer.text
    assert storage.read("uploads/a.jpg", max_bytes=3) == b"abc"


def test_head_tells_size_type_and_metadata(originals: S3Storage) -> None:
    originals.put(
        "farmers/a.jpg",
        PHOTO,
        content_type="image/jpeg",
        cache_control="private",
        metadata={"media-id": "42"},
    )

    head = originals.head("farmers/a.jpg")

    assert head is not None
    assert (head.size, head.content_type) == (len(PHOTO), "image/jpeg")
    assert head.etag == hashlib.md5(PHOTO).hexdigest()
    assert head.metadata == {"media-id": "42"}
    assert head.modified_at.utcoffset() == timedelta(0)


def test_an_object_that_is_not_there_is_missing(originals: S3Storage) -> None:
    assert originals.head("farmers/none.jpg") is None
    with pytest.raises(ObjectMissing):
        originals.read("farmers/none.jpg", max_bytes=10)


def test_a_bucket_that_is_not_there_is_a_misconfiguration(s3_gate: LocalS3) -> None:
    storage = S3Storage(s3_gate.place("no-such-bucket"), s3_gate.credentials)

    with pytest.raises(StorageError, match="NoSuchBucket") as caught:
        storage.read("farmers/a.jpg", max_bytes=10)

    assert not isinstance(caught.value, ObjectMissing)


def test_reading_stops_at_the_limit(originals: S3Storage) -> None:
    _put(originals, "farmers/a.jpg", b"x" * 11)

    with pytest.raises(ObjectTooLarge):
        originals.read("farmers/a.jpg", max_bytes=10)
    assert len(originals.read("farmers/a.jpg", max_bytes=11)) == 11


def test_an_empty_object_is_read_as_such(originals: S3Storage) -> None:
    _put(originals, "farmers/a.jpg", b"")

    assert originals.read("farmers/a.jpg", max_bytes=0) == b""


def test_deleting_again_or_what_never_was_is_fine(originals: S3Storage, s3_gate: LocalS3) -> None:
    for key in ODD_KEYS:
        _put(originals, key)

    originals.delete([*ODD_KEYS, "farmers/never.jpg"])
    originals.delete(ODD_KEYS)
    originals.delete([])

    assert s3_gate.stored(ORIGINALS) == {}


def test_more_objects_than_one_call_takes_are_deleted(
    originals: S3Storage, s3_gate: LocalS3
) -> None:
    _put(originals, "uploads/1200")

    originals.delete(f"uploads/{number}" for number in range(1, 1201))

    assert s3_gate.stored(ORIGINALS) == {}


def test_objects_are_public_only_when_opted_in(
    originals: S3Storage, published: S3Storage, s3_gate: LocalS3
) -> None:
    _put(originals, "farmers/a.jpg")
    _put(published, "farmers/a.jpg")

    def grantees(bucket: str) -> list[str]:
        acl = s3_gate.client().get_object_acl(Bucket=bucket, Key="farmers/a.jpg")
        return [grant["Grantee"].get("URI", "") for grant in acl["Grants"]]

    assert not any(grantees(ORIGINALS))
    assert any(uri.endswith("AllUsers") for uri in grantees(MEDIA))


@pytest.mark.parametrize("mode", ["down", "error"])
def test_storage_that_is_down_or_throttles_is_worth_another_try(
    originals: S3Storage, s3_gate: LocalS3, monkeypatch: pytest.MonkeyPatch, mode: FaultMode
) -> None:
    # The pause between botocore's tries, not ours to wait for.
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)
    _put(originals, "farmers/a.jpg")
    s3_gate.faults.set("s3", mode, 60)

    with pytest.raises(Unavailable):
        originals.read("farmers/a.jpg", max_bytes=100)
    with pytest.raises(Unavailable):
        originals.head("farmers/a.jpg")
    with pytest.raises(Unavailable):
        originals.delete(["farmers/a.jpg"])


def test_a_slow_storage_answers_in_the_end(originals: S3Storage, s3_gate: LocalS3) -> None:
    s3_gate.faults.set("s3", "slow", 60)

    assert originals.head("farmers/a.jpg") is None


def test_a_refusal_is_permanent_and_says_its_code(s3_gate: LocalS3) -> None:
    wrong = Credentials(s3_gate.credentials.access_key, "not the secret")
    storage = S3Storage(s3_gate.place(ORIGINALS), wrong)

    with pytest.raises(StorageError, match="SignatureDoesNotMatch"):
        storage.read("farmers/a.jpg", max_bytes=100)


@pytest.mark.parametrize(
    ("code", "expected"),
    [("InternalError", Unavailable), ("SlowDown", Unavailable), ("AccessDenied", StorageError)],
)
def test_an_object_that_stays_when_others_are_deleted_raises(
    originals: S3Storage,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    expected: type[Exception],
) -> None:
    class Refusing:
        def delete_objects(self, **request: object) -> dict[str, object]:
            return {"Errors": [{"Key": "a", "Code": "NoSuchKey"}, {"Key": "b", "Code": code}]}

    monkeypatch.setitem(vars(originals), "_client", Refusing())

    with pytest.raises(expected):
        originals.delete(["a", "b"])


def test_an_answer_cut_in_the_middle_is_worth_another_try() -> None:
    def cut(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")

    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
        serving = threading.Thread(target=cut, args=[server])
        serving.start()
        place = Place(ORIGINALS, "eu-west-1", endpoint, endpoint, path_style=True)
        storage = S3Storage(place, KEYS)

        with pytest.raises(Unavailable):
            storage.read("farmers/a.jpg", max_bytes=10)
        serving.join()


def test_storage_that_refuses_connections_is_worth_another_try() -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    storage = S3Storage(Place(ORIGINALS, "eu-west-1", nobody, nobody, path_style=True), KEYS)
    with pytest.raises(Unavailable):
        storage.read("farmers/a.jpg", max_bytes=10)
