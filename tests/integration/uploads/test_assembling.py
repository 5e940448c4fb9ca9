"""From chunks in storage to one file: what comes of which chunks, and of which content."""

from collections.abc import Callable

import pytest

from fieldgate.errors import Unavailable
from fieldgate.queues import PoisonMessage
from tests import photos
from tests.support.assembly import MIB, Life, Yard, chunk, some_text
from tests.support.log import Log
from tests.support.media import sha256
from tests.support.s3 import ORIGINALS, LocalS3
from uploads.assembling import assemble
from uploads.upload_store import MAX_CONSECUTIVE_FAILURES, Upload

KIB = 1024
SIZES = [1, 100 * KIB, 100 * KIB + 1, 5 * MIB - 1, 5 * MIB, 5 * MIB + 1, 8 * MIB, 8 * MIB + 1]


@pytest.mark.parametrize("chunk_size", [100 * KIB, 5 * MIB])
@pytest.mark.parametrize("size", SIZES)
def test_chunks_become_one_file_and_nothing_of_them_stays(
    yard: Yard, size: int, chunk_size: int
) -> None:
    content = some_text(size)
    upload = yard.send(content, chunk_size=chunk_size, sha256=sha256(content))
    yard.assemble(upload)
    assert yard.states(upload) == ("completed", None, "stored")
    assert yard.made() == {upload.object_key: content}
    assert (yard.staged(), yard.unfinished()) == ({}, [])
    media = yard.media(upload)
    assert media is not None
    assert media["sha256"] == sha256(content)


def test_fifty_mebibytes_take_few_requests(yard: Yard) -> None:
    content = some_text(50 * MIB)
    upload = yard.send(content)
    life = Life()
    assemble(life.places(yard.places), str(upload.id))
    assert yard.made() == {upload.object_key: content}
    # Each chunk, seven parts, three transactions, and what is around them.
    assert len(life.calls) == 100 + 7 + 3 + 7


def test_the_digest_is_that_of_the_file_when_none_was_declared(yard: Yard) -> None:
    content = some_text(1000)
    upload = yard.send(content)
    yard.assemble(upload)
    media = yard.media(upload)
    assert media is not None
    assert media["sha256"] == sha256(content)


@pytest.mark.parametrize("size", [1000, 8 * MIB + 1])
def test_the_file_is_stored_as_what_it_is_and_for_nobody_to_keep(
    yard: Yard, s3: LocalS3, size: int
) -> None:
    content = some_text(size)
    upload = yard.send(content, filename="prices.csv")
    yard.assemble(upload)
    head = s3.client().head_object(Bucket=ORIGINALS, Key=upload.object_key)
    assert head["ContentType"] == "text/csv"
    assert head["CacheControl"] == "private, no-store"
    assert head["Metadata"] == {"upload-id": str(upload.id), "sha256": sha256(content)}


@pytest.mark.parametrize("size", [0, 5 * MIB])
def test_a_photo_stays_pending_and_is_announced(yard: Yard, size: int) -> None:
    content = photos.small_jpeg() + bytes(size)
    upload = yard.send(content, filename="leaf.jpg")
    yard.assemble(upload)
    assert yard.states(upload) == ("completed", None, "pending")
    assert yard.announced == [upload.object_key]
    media = yard.media(upload)
    assert media is not None
    assert media["sha256"] == sha256(content)


def test_a_document_is_not_announced(yard: Yard) -> None:
    yard.assemble(yard.send(b"notes"))
    assert yard.announced == []


def test_a_small_file_costs_two_transactions_and_few_calls(yard: Yard) -> None:
    upload = yard.send(some_text(200 * KIB), chunk_size=100 * KIB)
    life = Life()
    assemble(life.places(yard.places), str(upload.id))
    assert life.calls == [
        *("transact", "head", "list", "read", "read", "put", "head", "transact"),
        *("list", "delete"),
    ]


# Messages that come twice, late, early or for nothing


@pytest.mark.parametrize("message", ["", "not an id", "0198a5b6", "{}"])
def test_what_is_no_id_is_poison(yard: Yard, message: str) -> None:
    with pytest.raises(PoisonMessage):
        assemble(yard.places, message)


def test_an_unknown_upload_is_done_with(yard: Yard, log: Log) -> None:
    assemble(yard.places, "0198a5b6-7e10-7c3d-8f21-9a0b1c2d3e4f")
    assert log.said("nothing to assemble")


def test_a_repeated_message_changes_nothing(yard: Yard, s3: LocalS3) -> None:
    upload = yard.send(b"notes")
    yard.assemble(upload)
    before = yard.row(upload), yard.media(upload), yard.made()
    for _ in range(2):
        yard.assemble(upload)
    assert (yard.row(upload), yard.media(upload), yard.made()) == before


@pytest.mark.parametrize("state", ["created", "uploading", "expired"])
def test_an_upload_that_is_not_complete_is_left_alone(yard: Yard, state: str) -> None:
    upload = yard.begin(b"notes", state=state)
    yard.put_all(upload, b"notes")
    before = yard.row(upload), yard.media(upload), yard.staged()
    yard.assemble(upload)
    assert (yard.row(upload), yard.media(upload), yard.staged()) == before
    assert yard.made() == {}


def test_while_another_run_is_at_it_the_message_comes_back(yard: Yard) -> None:
    upload = yard.send(b"notes")
    claimed = yard.claim(upload)
    assert claimed is not None
    with pytest.raises(Unavailable):
        yard.assemble(upload)
    assert yard.row(upload)["assembly_attempts"] == 1
    yard.end_lease(upload)
    yard.assemble(upload)
    assert yard.states(upload) == ("completed", None, "stored")


# Chunks that are not what they should be


def missing(yard: Yard, upload: Upload, content: bytes, keys: list[str]) -> list[str]:
    yard.staging.delete([keys[1]])
    return []


def swapped(yard: Yard, upload: Upload, content: bytes, keys: list[str]) -> list[str]:
    yard.store(keys[0], chunk(upload, content, 2))
    yard.store(keys[1], chunk(upload, content, 1))
    return keys[:2]


def short(yard: Yard, upload: Upload, content: bytes, keys: list[str]) -> list[str]:
    yard.store(keys[1], chunk(upload, content, 2)[:-1])
    return []


def long(yard: Yard, upload: Upload, content: bytes, keys: list[str]) -> list[str]:
    yard.store(keys[1], chunk(upload, content, 2) + b"x")
    return []


def long_last(yard: Yard, upload: Upload, content: bytes, keys: list[str]) -> list[str]:
    yard.store(keys[2], chunk(upload, content, 3) + b"x")
    return []


def corrupted(yard: Yard, upload: Upload, content: bytes, keys: list[str]) -> list[str]:
    yard.store(keys[1], b"X" + chunk(upload, content, 2)[1:])
    return [keys[1]]


def empty(yard: Yard, upload: Upload, content: bytes, keys: list[str]) -> list[str]:
    yard.store(keys[2], b"")
    return []


BAD: list[Callable[[Yard, Upload, bytes, list[str]], list[str]]] = [
    missing,
    swapped,
    short,
    long,
    long_last,
    corrupted,
    empty,
]


@pytest.mark.parametrize("spoil", BAD)
def test_a_bad_chunk_is_asked_for_again_and_mended_by_sending_it(
    yard: Yard, spoil: Callable[[Yard, Upload, bytes, list[str]], list[str]]
) -> None:
    content = some_text(200 * KIB + 1)
    upload = yard.begin(content, chunk_size=100 * KIB, sha256=sha256(content))
    keys = [yard.put(upload, number, chunk(upload, content, number)) for number in (1, 2, 3)]
    removed = spoil(yard, upload, content, keys)
    yard.close(upload)

    yard.assemble(upload)

    row = yard.row(upload)
    assert (row["state"], row["consecutive_failures"]) == ("uploading", 1)
    assert (row["assembling_since"], yard.made()) == (None, {})
    # What is there under a right name and has wrong bytes would be taken for received.
    assert not set(removed) & set(yard.staged())
    yard.put_all(upload, content)
    yard.close(upload)
    yard.assemble(upload)
    assert yard.states(upload) == ("completed", None, "stored")
    assert yard.made() == {upload.object_key: content}


def test_a_chunk_that_is_never_good_fails_the_upload_in_the_end(yard: Yard) -> None:
    content = some_text(200 * KIB)
    upload = yard.begin(content, chunk_size=100 * KIB)
    key = yard.put(upload, 1, chunk(upload, content, 1))
    for failures in range(1, MAX_CONSECUTIVE_FAILURES + 1):
        yard.put(upload, 2, chunk(upload, content, 2))
        yard.store(key, bytes(100 * KIB))
        yard.close(upload)
        yard.assemble(upload)
        assert yard.row(upload)["consecutive_failures"] == failures
    assert yard.states(upload) == ("failed", "TOO_MANY_FAILURES", "pending")
    assert len(yard.staged()) == 1


def test_foreign_and_old_objects_beside_the_chunks_do_no_harm(yard: Yard) -> None:
    content = some_text(200 * KIB)
    upload = yard.begin(content, chunk_size=100 * KIB)
    yard.put(upload, 3, b"beyond the end")
    yard.put(upload, 1, b"of another length")
    yard.store(f"staging/{upload.id}/stray", b"x")
    yard.put_all(upload, content)
    yard.close(upload)
    yard.assemble(upload)
    assert yard.made() == {upload.object_key: content}
    assert yard.staged() == {}


def test_another_file_than_declared_fails_and_goes_on_with_the_right_chunk(yard: Yard) -> None:
    content = some_text(250 * KIB)
    upload = yard.begin(content, chunk_size=100 * KIB, sha256=sha256(content))
    yard.put_all(upload, content)
    right = chunk(upload, content, 2)
    yard.backdate(yard.put(upload, 2, right))
    wrong = yard.put(upload, 2, bytes(reversed(right)))
    yard.close(upload)

    yard.assemble(upload)

    assert yard.states(upload) == ("failed", "CHECKSUM_MISMATCH", "pending")
    assert (len(yard.staged()), yard.made()) == (4, {})
    yard.resume(upload)
    yard.backdate(wrong)
    yard.put(upload, 2, right)
    yard.close(upload)
    yard.assemble(upload)
    assert yard.states(upload) == ("completed", None, "stored")
    assert yard.made() == {upload.object_key: content}
