"""The storage adapter against the local cloud: what tests elsewhere know of moto alone."""

import pytest

from fieldgate.sigv4 import Credentials
from fieldgate.storage import ObjectExists, PartsGone, StorageError
from fieldgate.storage.s3 import S3Storage
from fieldgate.storage.settings import Place
from local.cloud import ACCOUNT, SECRET
from local.template import REGION
from tests.e2e.conftest import Stack

BUCKET = "adapter-tests"
KEY = "clients/a.pdf"
MIN_PART = 5 * 1024**2


@pytest.fixture(scope="module")
def storage(stack: Stack) -> S3Storage:
    place = {"LocationConstraint": REGION}
    stack.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=place)
    address = stack.address("storage")
    return S3Storage(
        Place(BUCKET, REGION, address, address, path_style=True), Credentials(ACCOUNT, SECRET)
    )


def _begin(storage: S3Storage) -> str:
    return storage.begin_parts(
        KEY, content_type="application/pdf", cache_control="private", metadata={"upload-id": "42"}
    )


def test_parts_are_put_together_once_and_never_over_an_object(storage: S3Storage) -> None:
    first, second = _begin(storage), _begin(storage)
    assert {parts.multipart_id for parts in storage.unfinished_parts()} == {first, second}
    etags = [
        storage.put_part(KEY, first, 1, b"a" * MIN_PART),
        storage.put_part(KEY, first, 2, b"b"),
    ]

    storage.complete_parts(KEY, first, etags, only_new=True)
    for again in (first, second):
        etag = storage.put_part(KEY, second, 1, b"c")
        with pytest.raises(ObjectExists):
            storage.complete_parts(KEY, again, [etag], only_new=True)
    head = storage.head(KEY)
    assert head is not None
    assert (head.size, head.metadata) == (MIN_PART + 1, {"upload-id": "42"})

    storage.abort_parts(KEY, second)
    storage.abort_parts(KEY, second)
    assert list(storage.unfinished_parts()) == []
    with pytest.raises(PartsGone):
        storage.put_part(KEY, second, 2, b"d")


def test_parts_that_are_too_small_are_refused(storage: S3Storage) -> None:
    multipart_id = _begin(storage)
    etags = [storage.put_part(KEY, multipart_id, number, b"a") for number in (1, 2)]

    with pytest.raises(StorageError, match="EntityTooSmall"):
        storage.complete_parts(KEY, multipart_id, etags)
    storage.abort_parts(KEY, multipart_id)


def test_lists_have_everything_once_beyond_a_page(storage: S3Storage) -> None:
    for number in range(1002):
        storage.put(
            f"staging/{number % 2}/{number:04d}",
            b"",
            content_type="application/octet-stream",
            cache_control="private",
        )

    listed = [found.key for found in storage.list("staging/")]
    assert listed == sorted(f"staging/{number % 2}/{number:04d}" for number in range(1002))
    assert list(storage.list_folders("staging/")) == ["0", "1"]

    storage.delete(listed)
    assert list(storage.list("staging/")) == []
