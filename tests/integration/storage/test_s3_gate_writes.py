"""New keys only, parts of 5 MiB, and requests that break on the way."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from fieldgate.storage.s3 import S3Storage
from local.faults import FaultMode
from tests.support.s3 import ORIGINALS, LocalS3, refusal

KEY = "clients/a.pdf"
MIN_PART = 5 * 1024**2
HOUR = timedelta(hours=1)


class Parts:
    """An object written in parts by boto3, through the gate."""

    def __init__(self, s3: LocalS3) -> None:
        self.client = s3.client()
        begun = self.client.create_multipart_upload(Bucket=ORIGINALS, Key=KEY)
        self.id = begun["UploadId"]
        self.etags: dict[int, str] = {}

    def put(self, number: int, size: int) -> None:
        answer = self.client.upload_part(
            Bucket=ORIGINALS, Key=KEY, UploadId=self.id, PartNumber=number, Body=b"x" * size
        )
        self.etags[number] = answer["ETag"]

    def complete(self, **condition: str) -> None:
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in self.etags.items()]
        self.client.complete_multipart_upload(
            Bucket=ORIGINALS,
            Key=KEY,
            UploadId=self.id,
            MultipartUpload={"Parts": parts},  # type: ignore[typeddict-item]
            **condition,  # type: ignore[arg-type]
        )


def _put(s3: LocalS3, body: bytes, condition: str = "*") -> None:
    s3.client().put_object(Bucket=ORIGINALS, Key=KEY, Body=body, IfNoneMatch=condition)


def _code(error: ClientError) -> tuple[int, str]:
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    return status, error.response["Error"]["Code"]


@pytest.mark.parametrize("size", [1, 5_000_000, MIN_PART - 1])
def test_a_part_that_is_too_small_is_refused_until_it_is_replaced(
    s3_gate: LocalS3, size: int
) -> None:
    parts = Parts(s3_gate)
    parts.put(1, MIN_PART)
    parts.put(2, size)
    parts.put(3, 1)

    with pytest.raises(ClientError, match="smaller than the minimum") as caught:
        parts.complete()
    assert _code(caught.value) == (400, "EntityTooSmall")
    assert s3_gate.stored(ORIGINALS) == {}

    parts.put(2, MIN_PART)
    parts.complete()
    assert len(s3_gate.stored(ORIGINALS)[KEY]) == 2 * MIN_PART + 1


def test_a_part_may_be_small_when_it_is_the_last_that_is_listed(s3_gate: LocalS3) -> None:
    parts = Parts(s3_gate)
    parts.put(1, 10)
    parts.put(2, 20)
    del parts.etags[2]

    parts.complete()

    assert len(s3_gate.stored(ORIGINALS)[KEY]) == 10


def test_a_list_of_parts_that_is_none_is_refused(s3_gate: LocalS3) -> None:
    parts = Parts(s3_gate)
    url = s3_gate.client(signature_version="s3v4").generate_presigned_url(
        "complete_multipart_upload",
        Params={"Bucket": ORIGINALS, "Key": KEY, "UploadId": parts.id},
    )

    for body in (b"no xml", b"<a><Part><PartNumber>one</PartNumber></Part></a>"):
        assert refusal(httpx.post(url, content=body)) == (400, "MalformedXML")


def test_only_a_new_object_is_written_when_only_that_is_wanted(s3_gate: LocalS3) -> None:
    _put(s3_gate, b"first")

    with pytest.raises(ClientError) as caught:
        _put(s3_gate, b"second")

    assert _code(caught.value) == (412, "PreconditionFailed")
    assert s3_gate.stored(ORIGINALS) == {KEY: b"first"}

    s3_gate.client().delete_object(Bucket=ORIGINALS, Key=KEY)
    _put(s3_gate, b"third")
    assert s3_gate.stored(ORIGINALS) == {KEY: b"third"}


def test_of_many_new_objects_at_once_one_is_written(s3_gate: LocalS3) -> None:
    bodies = [b"%d" % number for number in range(8)]

    def refused(body: bytes) -> tuple[int, str] | None:
        try:
            _put(s3_gate, body)
        except ClientError as error:
            return _code(error)
        return None

    with ThreadPoolExecutor(len(bodies)) as threads:
        outcomes = list(threads.map(refused, bodies))

    assert outcomes.count((412, "PreconditionFailed")) == len(bodies) - 1
    assert s3_gate.stored(ORIGINALS) == {KEY: bodies[outcomes.index(None)]}


def test_parts_are_not_put_together_over_what_is_there(s3_gate: LocalS3) -> None:
    _put(s3_gate, b"first")
    parts = Parts(s3_gate)
    parts.put(1, 10)

    with pytest.raises(ClientError) as caught:
        parts.complete(IfNoneMatch="*")

    assert _code(caught.value) == (412, "PreconditionFailed")
    assert s3_gate.stored(ORIGINALS) == {KEY: b"first"}

    parts.complete()
    assert s3_gate.stored(ORIGINALS) == {KEY: b"x" * 10}


def test_another_condition_on_a_write_is_unknown_to_s3(s3_gate: LocalS3) -> None:
    with pytest.raises(ClientError) as caught:
        _put(s3_gate, b"first", condition='"an-etag"')

    assert _code(caught.value) == (501, "NotImplemented")
    assert s3_gate.stored(ORIGINALS) == {}


def test_a_reader_may_still_ask_for_what_has_changed(s3_gate: LocalS3) -> None:
    _put(s3_gate, b"first")
    etag = s3_gate.client().head_object(Bucket=ORIGINALS, Key=KEY)["ETag"]

    with pytest.raises(ClientError) as caught:
        s3_gate.client().get_object(Bucket=ORIGINALS, Key=KEY, IfNoneMatch=etag)

    assert _code(caught.value)[0] == 304


@pytest.mark.parametrize("size", [1, 100_000])
def test_what_is_cut_on_its_way_is_not_stored(s3_gate: LocalS3, size: int) -> None:
    s3_gate.faults.set("s3", "cut", 60)

    with pytest.raises(ConnectionClosedError):
        _put(s3_gate, b"x" * size)
    # Only what is put breaks.
    with pytest.raises(ClientError, match="404"):
        s3_gate.client().head_object(Bucket=ORIGINALS, Key=KEY)

    assert s3_gate.stored(ORIGINALS) == {}
    s3_gate.faults.set("s3", "cut", 0)
    _put(s3_gate, b"x" * size)
    assert len(s3_gate.stored(ORIGINALS)[KEY]) == size


def test_when_the_answer_is_lost_the_request_is_done_all_the_same(s3_gate: LocalS3) -> None:
    s3_gate.faults.set("s3", "lost", 60)

    with pytest.raises(ConnectionClosedError):
        _put(s3_gate, b"first")
    assert s3_gate.stored(ORIGINALS) == {KEY: b"first"}

    with pytest.raises(ConnectionClosedError):
        s3_gate.client().delete_object(Bucket=ORIGINALS, Key=KEY)
    assert s3_gate.stored(ORIGINALS) == {}


def test_parts_of_which_the_answer_was_lost_count_by_their_size(s3_gate: LocalS3) -> None:
    parts = Parts(s3_gate)
    parts.put(1, MIN_PART)
    s3_gate.faults.set("s3", "lost", 60)
    with pytest.raises(ConnectionClosedError):
        parts.put(1, 10)
    s3_gate.faults.set("s3", "lost", 0)
    parts.put(2, 1)

    with pytest.raises(ClientError, match="EntityTooSmall"):
        parts.complete()


def test_presigned_urls_alone_expire_before_their_time(
    originals: S3Storage, s3_gate: LocalS3
) -> None:
    upload = originals.presign_put(
        KEY, content_type="application/pdf", content_length=3, expires_in=HOUR
    )
    s3_gate.faults.set("s3", "expired", 60)

    answer = httpx.put(upload.url, headers=upload.headers, content=b"abc")

    assert refusal(answer) == (403, "AccessDenied")
    assert "Request has expired" in answer.text
    assert originals.head(KEY) is None
    s3_gate.faults.set("s3", "expired", 0)
    assert httpx.put(upload.url, headers=upload.headers, content=b"abc").status_code == 200


@pytest.mark.parametrize("mode", ["cut", "lost", "expired"])
def test_an_upload_that_nobody_signed_is_refused_as_ever(s3_gate: LocalS3, mode: FaultMode) -> None:
    s3_gate.faults.set("s3", mode, 60)

    answer = httpx.put(f"{s3_gate.endpoint}/{ORIGINALS}/{KEY}", content=b"abc")

    assert refusal(answer) == (403, "AccessDenied")
