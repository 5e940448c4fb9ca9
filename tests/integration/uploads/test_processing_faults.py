"""Processing with faults in the middle, other files under the key, and deletions meanwhile."""

import time
from contextlib import closing
from types import SimpleNamespace
from typing import Any, override

import pytest

from fieldgate import deadline
from fieldgate.db.engine import Database
from fieldgate.db.url import parse_url
from fieldgate.errors import Unavailable
from fieldgate.storage import StorageError
from fieldgate.storage.s3 import S3Storage
from tests import photos
from tests.support.media import Darkroom, row_of, sha256
from tests.support.processing import (
    Interrupted,
    Killed,
    delete,
    end_lease,
    process,
)
from tests.support.s3 import ORIGINALS, LocalS3
from uploads import processing, store
from uploads.file_rules import Folder
from uploads.photo import render_variants
from uploads.processing import process_upload
from uploads.store import Media

# Faults in the middle


@pytest.mark.parametrize("mode", ["down", "error"])
def test_storage_lost_between_the_variants_is_retried_and_heals(
    darkroom: Darkroom, interrupted: Interrupted, mode: Any
) -> None:
    media = darkroom.upload()

    def lose_storage(key: str) -> None:
        if key.endswith("ai.jpg"):
            darkroom.s3.faults.set("s3", mode, 60)

    interrupted.before = lose_storage
    with pytest.raises(Unavailable):
        process(darkroom, media, interrupted)
    assert_unclaimed(darkroom, media)

    darkroom.s3.faults.set("s3", mode, 0)
    process(darkroom, media)
    assert darkroom.row(media)["state"] == "ready"
    assert len(darkroom.variants()) == 2


def test_storage_down_from_the_start_is_retried_and_heals(darkroom: Darkroom) -> None:
    media = darkroom.upload()
    darkroom.s3.faults.set("s3", "down", 60)
    with pytest.raises(Unavailable):
        process(darkroom, media)
    darkroom.s3.faults.set("s3", "down", 0)
    process(darkroom, media)
    assert darkroom.row(media)["state"] == "ready"


def test_killed_between_publishing_and_finishing_the_next_run_makes_it_ready(
    darkroom: Darkroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    media = darkroom.upload()

    def killed(*_: object) -> bool:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(store, "finish", killed)
        with pytest.raises(Killed):
            process(darkroom, media)
    published = darkroom.variants()
    assert (darkroom.row(media)["state"], len(published)) == ("processing", 2)

    with pytest.raises(Unavailable):  # it may still be at work
        process(darkroom, media)
    end_lease(darkroom, media)
    process(darkroom, media)
    assert darkroom.row(media)["state"] == "ready"
    assert darkroom.variants() == published


@pytest.fixture
def deadly(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Rendering ends the process, out of memory or of time; yields what was tried."""
    tried: list[bytes] = []

    def killed(source: bytes, *_how: object) -> None:
        tried.append(source)
        raise Killed

    monkeypatch.setattr("uploads.photo.render_variants", killed)
    return tried


def kill(darkroom: Darkroom, media: Media, times: int) -> None:
    for _ in range(times):
        with pytest.raises(Killed):
            process(darkroom, media)
        end_lease(darkroom, media)


def test_a_file_that_kills_every_run_is_rejected_and_not_touched_again(
    darkroom: Darkroom, deadly: list[bytes]
) -> None:
    media = darkroom.upload()
    kill(darkroom, media, processing.MAX_ATTEMPTS)
    assert darkroom.row(media)["state"] == "processing"

    process(darkroom, media)

    row = darkroom.row(media)
    assert (row["state"], row["rejected_reason"]) == ("rejected", "PROCESSING_FAILED")
    assert len(deadly) == processing.MAX_ATTEMPTS == 5
    process(darkroom, media)
    assert darkroom.row(media) == row


def test_a_file_whose_last_try_succeeds_is_ready(
    darkroom: Darkroom, deadly: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    media = darkroom.upload()
    kill(darkroom, media, processing.MAX_ATTEMPTS - 1)
    monkeypatch.undo()
    process(darkroom, media)
    assert darkroom.row(media)["state"] == "ready"


def assert_unclaimed(darkroom: Darkroom, media: Media) -> None:
    row = darkroom.row(media)
    assert (row["state"], row["processing_attempts"]) == ("pending", 0)


class Refusing(S3Storage):
    """Storage that refuses for good, as with a permission that is missing."""

    @override
    def read(self, key: str, *, max_bytes: int) -> bytes:
        raise StorageError("GET: AccessDenied")


class Mistaken(S3Storage):
    """A release of ours with a bug in it."""

    @override
    def read(self, key: str, *, max_bytes: int) -> bytes:
        raise RuntimeError("a bug")


@pytest.mark.parametrize(
    ("fault", "storage", "error"),
    [
        ("down", S3Storage, Unavailable),
        ("refusing", Refusing, StorageError),
        ("bug", Mistaken, RuntimeError),
    ],
)
def test_what_the_process_lives_through_however_often_is_not_the_photos_fault(
    darkroom: Darkroom,
    s3: LocalS3,
    fault: str,
    storage: type[S3Storage],
    error: type[Exception],
) -> None:
    media = darkroom.upload()
    if fault == "down":
        s3.faults.set("s3", "down", 60)
    for _ in range(12):
        with pytest.raises(error):
            process_upload(
                darkroom.database,
                storage(s3.place(ORIGINALS), s3.credentials),
                darkroom.published,
                media.object_key,
            )
        assert_unclaimed(darkroom, media)

    s3.faults.set("s3", "down", 0)
    process(darkroom, media)
    assert darkroom.row(media)["state"] == "ready"


def test_a_run_whose_time_is_over_still_gives_its_claim_back(
    darkroom: Darkroom, interrupted: Interrupted, monkeypatch: pytest.MonkeyPatch
) -> None:
    media = darkroom.upload()
    now = [time.monotonic()]
    monkeypatch.setattr(deadline, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def take_long(_key: str) -> None:
        now[0] += 31

    interrupted.before = take_long
    with deadline.within(30), pytest.raises(Unavailable, match="too long"):
        process(darkroom, media, interrupted)
    assert_unclaimed(darkroom, media)


# Another file under the same key


def photos_of_one_length() -> tuple[bytes, bytes]:
    """Two photos; what fills up the shorter stands behind its end, where nothing is looked at."""
    one, other = photos.small_jpeg(), photos.encoded(photos.scene(320, 240).rotate(180), "JPEG")
    length = max(len(one), len(other))
    return one.ljust(length, b"\0"), other.ljust(length, b"\0")


def assert_all_of_it_is_of(darkroom: Darkroom, media: Media, content: bytes) -> None:
    """State, digest, described sizes and published bytes belong to this one original."""
    row = darkroom.row(media)
    assert (row["state"], row["sha256"]) == ("ready", sha256(content))
    rendered = render_variants(content, "image/jpeg")
    assert {name: described["bytes"] for name, described in row["variants"].items()} == {
        name: len(variant.body) for name, variant in rendered.items()
    }
    assert darkroom.variants() == {
        row["variants"][name]["key"]: variant.body for name, variant in rendered.items()
    }


@pytest.mark.parametrize("when", ["before web", "after web", "after ai"])
def test_a_second_put_during_the_run_of_the_first_changes_nothing(
    darkroom: Darkroom, interrupted: Interrupted, database_url: str, when: str
) -> None:
    first, second = photos_of_one_length()
    media = darkroom.upload(first)
    moment, _, name = when.partition(" ")
    refused: list[Unavailable] = []

    def put_and_announce(key: str) -> None:
        if key.endswith(f"{name}.jpg"):
            darkroom.store(media, second)
            with (
                closing(Database(lambda: parse_url(database_url, "the test"))) as others,
                pytest.raises(Unavailable) as caught,
            ):
                process_upload(others, darkroom.originals, darkroom.published, media.object_key)
            refused.append(caught.value)

    setattr(interrupted, moment, put_and_announce)
    process(darkroom, media, interrupted)
    assert len(refused) == 1
    assert_all_of_it_is_of(darkroom, media, first)
    process(darkroom, media)  # the second event comes back
    assert_all_of_it_is_of(darkroom, media, first)


@pytest.mark.parametrize("ending", [Killed, Unavailable], ids=["killed", "storage lost"])
@pytest.mark.parametrize("written", ["web", "ai"])
def test_a_second_put_after_a_run_that_did_not_finish_is_what_counts(
    darkroom: Darkroom, interrupted: Interrupted, ending: type[BaseException], written: str
) -> None:
    first, second = photos_of_one_length()
    media = darkroom.upload(first)

    def put_and_end(key: str) -> None:
        if key.endswith(f"{written}.jpg"):
            darkroom.store(media, second)
            raise ending("here")

    interrupted.after = put_and_end
    with pytest.raises(ending):
        process(darkroom, media, interrupted)
    assert darkroom.variants(), "the first photo left something behind"
    if ending is Killed:
        end_lease(darkroom, media)
    process(darkroom, media)
    assert_all_of_it_is_of(darkroom, media, second)


# Deleted meanwhile


@pytest.mark.parametrize("where", ["before web", "after web", "after ai"])
def test_deleted_while_processing_no_variants_are_left(
    darkroom: Darkroom, interrupted: Interrupted, database_url: str, where: str
) -> None:
    media = darkroom.upload()
    when, _, name = where.partition(" ")

    def delete_now(key: str) -> None:
        if key.endswith(f"{name}.jpg"):
            with closing(Database(lambda: parse_url(database_url, "the test"))) as phones:
                delete(darkroom, media, phones)

    setattr(interrupted, when, delete_now)
    process(darkroom, media, interrupted)
    assert row_of(darkroom.database, media.id) is None
    assert darkroom.variants() == {}
    assert darkroom.stored_originals() == {}


@pytest.mark.parametrize("killed_after", ["web", "ai"])
def test_deleted_while_processing_and_then_killed_the_next_run_clears_up(
    darkroom: Darkroom, interrupted: Interrupted, database_url: str, killed_after: str
) -> None:
    media = darkroom.upload()

    def delete_first(key: str) -> None:
        if key.endswith("web.jpg"):
            with closing(Database(lambda: parse_url(database_url, "the test"))) as phones:
                delete(darkroom, media, phones)

    def kill_now(key: str) -> None:
        if key.endswith(f"{killed_after}.jpg"):
            raise Killed

    interrupted.before, interrupted.after = delete_first, kill_now
    with pytest.raises(Killed):
        process(darkroom, media, interrupted)
    assert darkroom.variants(), "the dead run left something behind"

    process(darkroom, media)
    assert darkroom.variants() == {}


def test_deleted_after_it_was_ready_nothing_is_left(darkroom: Darkroom) -> None:
    media = darkroom.upload(folder=Folder.CLIENT_DOCUMENTS)
    process(darkroom, media)
    assert len(darkroom.variants()) == 2
    delete(darkroom, media)
    assert (darkroom.variants(), darkroom.stored_originals()) == ({}, {})


def test_hidden_but_not_yet_removed_its_event_publishes_nothing(darkroom: Darkroom) -> None:
    media = darkroom.upload()
    darkroom.database.transact(lambda connection: store.hide(connection, media.id, None))
    process(darkroom, media)
    assert darkroom.variants() == {}
    assert darkroom.row(media)["state"] == "pending"
