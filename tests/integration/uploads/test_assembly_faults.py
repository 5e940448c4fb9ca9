"""Runs that are killed, raced, overtaken or starved on the way from chunks to one file."""

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, override

import pytest
from sqlalchemy import func

from fieldgate.db.engine import Database
from fieldgate.db.url import parse_url
from fieldgate.errors import Unavailable
from fieldgate.storage import StorageError
from fieldgate.storage.s3 import S3Storage
from local.faults import FaultMode
from tests import photos
from tests.support.assembly import MIB, Killed, Life, Yard, some_text
from tests.support.media import sha256
from tests.support.racing import race
from tests.support.s3 import ORIGINALS, LocalS3
from uploads import assembling, assembly_store, upload_store
from uploads.assembling import Places, assemble
from uploads.deleting import delete_media
from uploads.upload_store import Upload

KIB = 1024


@dataclass(frozen=True)
class Kind:
    """A file that goes one of the ways there are."""

    filename: str
    content: bytes
    chunk_size: int

    @property
    def is_photo(self) -> bool:
        return self.filename.endswith(".jpg")

    def send(self, yard: Yard) -> Upload:
        return yard.send(
            self.content,
            filename=self.filename,
            chunk_size=self.chunk_size,
            sha256=sha256(self.content),
        )


KINDS = {
    "document in one PUT": Kind("notes.txt", some_text(150 * KIB), 100 * KIB),
    "photo in one PUT": Kind("leaf.jpg", photos.small_jpeg().ljust(150 * KIB, b"\0"), 100 * KIB),
    "document in parts": Kind("notes.txt", some_text(6 * MIB), 5 * MIB),
    "photo in parts": Kind("leaf.jpg", photos.small_jpeg().ljust(6 * MIB, b"\0"), 5 * MIB),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Kind:
    # The least there may be, so that a few mebibytes are two parts.
    monkeypatch.setattr(assembling, "PART_BYTES", 5 * MIB)
    return KINDS[request.param]


# Where it is of no matter whether it is a photo.
TWO_KINDS = pytest.mark.parametrize(
    "kind", ["document in one PUT", "photo in parts"], indirect=True
)


def assert_whole(yard: Yard, upload: Upload, kind: Kind, s3: LocalS3) -> None:
    """One object with exactly the bytes, its row, and nothing that was left on the way."""
    media = yard.media(upload)
    assert media is not None
    assert yard.states(upload) == ("completed", None, "pending" if kind.is_photo else "stored")
    assert media["sha256"] == sha256(kind.content)
    assert yard.made()[upload.object_key] == kind.content
    versions = s3.client().list_object_versions(Bucket=ORIGINALS, Prefix=upload.object_key)
    assert len(versions["Versions"]) == 1
    assert "DeleteMarkers" not in versions
    assert set(yard.announced) == ({upload.object_key} if kind.is_photo else set())
    assert yard.staged() == {}


@pytest.fixture
def versioned(s3: LocalS3) -> None:
    """Every object that was ever there stays to be seen."""
    s3.client().put_bucket_versioning(
        Bucket=ORIGINALS, VersioningConfiguration={"Status": "Enabled"}
    )


def calls_of(yard: Yard, kind: Kind) -> list[str]:
    """Return the calls that a run makes which nothing happens to."""
    life = Life()
    assemble(life.places(yard.places), str(kind.send(yard).id))
    return life.calls


@pytest.mark.usefixtures("versioned")
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_killed_at_any_call_and_delivered_again_it_ends_in_the_same_file(
    yard: Yard, kind: Kind, before: bool, s3: LocalS3
) -> None:
    calls = calls_of(yard, kind)
    for number in range(1, len(calls) + 1):
        yard.announced.clear()
        upload = kind.send(yard)
        with pytest.raises(Killed):
            assemble(Life(number, before=before).places(yard.places), str(upload.id))
        if yard.row(upload)["assembling_since"] is not None:
            with pytest.raises(Unavailable):  # it may still be at work
                yard.assemble(upload)
            yard.end_lease(upload)
        yard.assemble(upload)
        assert_whole(yard, upload, kind, s3)
        # Begun, and not yet on record: the clean-up's, after some hours.
        unrecorded = calls[number - 1 : number + 1] == ["begin_parts", "transact"]
        lost = unrecorded and not before
        lost = lost or (calls[number - 2 : number] == ["begin_parts", "transact"] and before)
        assert len(yard.unfinished()) == int(lost)
        for left in yard.originals.unfinished_parts():
            yard.originals.abort_parts(left.key, left.multipart_id)


@pytest.mark.usefixtures("versioned")
def test_killed_again_and_again_it_ends_in_the_same_file(
    yard: Yard, kind: Kind, s3: LocalS3
) -> None:
    upload = kind.send(yard)
    last = len(calls_of(yard, kind))
    yard.announced.clear()
    for number in (2, last // 2, last - 3, last - 2):
        with suppress(Killed):
            assemble(Life(number).places(yard.places), str(upload.id))
        yard.end_lease(upload)
    yard.assemble(upload)
    assert_whole(yard, upload, kind, s3)


def test_a_file_that_kills_every_run_fails_and_can_be_resumed(
    yard: Yard, monkeypatch: pytest.MonkeyPatch, s3: LocalS3
) -> None:
    kind = KINDS["document in one PUT"]
    upload = kind.send(yard)

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(assembling, "check_content", killed)
        for _ in range(assembling.MAX_ATTEMPTS):
            with pytest.raises(Killed):
                yard.assemble(upload)
            yard.end_lease(upload)
        yard.assemble(upload)
    assert yard.states(upload) == ("failed", "ASSEMBLY_FAILED", "pending")
    assert len(yard.staged()) == 2

    yard.resume(upload)
    yard.close(upload)
    yard.assemble(upload)
    assert_whole(yard, upload, kind, s3)


# Storage, database and queue that fail


@TWO_KINDS
@pytest.mark.parametrize("mode", ["down", "error"])
def test_storage_lost_at_any_call_is_waited_for(
    yard: Yard, kind: Kind, mode: FaultMode, s3: LocalS3
) -> None:
    for number in range(1, len(calls_of(yard, kind)) + 1):
        yard.announced.clear()
        upload = kind.send(yard)
        life = Life(number)
        life.end = lambda: s3.faults.set("s3", mode, 60)
        with suppress(Unavailable):
            assemble(life.places(yard.places), str(upload.id))
        s3.faults.set("s3", mode, 0)
        row = yard.row(upload)
        assert row["state"] == "completed" or row["assembling_since"] is None
        assert row["assembly_attempts"] <= 1
        yard.assemble(upload)
        media = yard.media(upload)
        assert media is not None
        assert media["sha256"] == sha256(yard.made()[upload.object_key]) == sha256(kind.content)
        assert yard.row(upload)["state"] == "completed"
        assert yard.staged() == {}


def test_what_the_process_lives_through_however_often_is_not_the_files_fault(
    yard: Yard, s3: LocalS3
) -> None:
    kind = KINDS["document in one PUT"]
    upload = kind.send(yard)
    s3.faults.set("s3", "error", 60)
    for _ in range(12):
        with pytest.raises(Unavailable):
            yard.assemble(upload)
        row = yard.row(upload)
        assert (row["assembly_attempts"], row["assembling_since"]) == (0, None)
    s3.faults.set("s3", "error", 0)
    yard.assemble(upload)
    assert_whole(yard, upload, kind, s3)


@TWO_KINDS
def test_slow_storage_is_only_slow(yard: Yard, kind: Kind, s3: LocalS3) -> None:
    upload = kind.send(yard)
    s3.faults.set("s3", "slow", 60)
    yard.assemble(upload)
    assert_whole(yard, upload, kind, s3)


def test_an_object_of_somebody_elses_is_never_taken_for_ours(yard: Yard) -> None:
    upload = yard.send(b"notes")
    yard.originals.put(
        upload.object_key, b"stray", content_type="text/plain", cache_control="private"
    )
    with pytest.raises(StorageError):
        yard.assemble(upload)
    assert yard.made() == {upload.object_key: b"stray"}
    assert yard.row(upload)["state"] == "assembling"


# Two runs at once


class Meeting(S3Storage):
    """Originals where something happens just before or after the file is made."""

    before: Callable[[], None] = staticmethod(lambda: None)
    after: Callable[[], None] = staticmethod(lambda: None)

    @override
    def put(self, key: str, body: bytes, **stored_as: Any) -> None:
        self.before()
        super().put(key, body, **stored_as)
        self.after()

    @override
    def put_part(self, key: str, multipart_id: str, number: int, body: bytes) -> str:
        if number == 1:
            self.before()
        return super().put_part(key, multipart_id, number, body)

    @override
    def complete_parts(self, *args: Any, **named: Any) -> None:
        super().complete_parts(*args, **named)
        self.after()


@pytest.fixture
def meeting(s3: LocalS3) -> Meeting:
    return Meeting(s3.place(ORIGINALS), s3.credentials)


@pytest.fixture
def second(yard: Yard, database_url: str) -> Iterator[Yard]:
    """Another environment, on the same database and storage."""
    with closing(Database(lambda: parse_url(database_url, "the test"))) as database:
        yield replace(yard, database=database)


@pytest.mark.usefixtures("versioned")
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_run_overtaken_while_it_makes_the_file_leaves_it_to_the_other(
    yard: Yard, second: Yard, meeting: Meeting, kind: Kind, moment: str, s3: LocalS3
) -> None:
    upload = kind.send(yard)

    def overtake() -> None:
        second.end_lease(upload)
        second.assemble(upload)

    setattr(meeting, moment, overtake)
    with suppress(Unavailable):
        yard.assemble(upload, originals=meeting)
    yard.assemble(upload)
    assert_whole(yard, upload, kind, s3)
    assert yard.unfinished() == []


@pytest.mark.usefixtures("versioned")
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_run_that_another_has_taken_the_lease_of_can_do_nothing(
    yard: Yard, second: Yard, meeting: Meeting, kind: Kind, moment: str, s3: LocalS3
) -> None:
    upload = kind.send(yard)

    def take_the_lease() -> None:
        second.end_lease(upload)
        assert second.claim(upload) is not None

    setattr(meeting, moment, take_the_lease)
    with pytest.raises(Unavailable):
        yard.assemble(upload, originals=meeting)
    assert yard.row(upload)["state"] == "assembling"
    assert len(yard.staged()) == 2
    yard.end_lease(upload)
    yard.assemble(upload)
    assert_whole(yard, upload, kind, s3)


@pytest.mark.usefixtures("versioned")
def test_a_file_that_an_earlier_run_made_meanwhile_is_taken_as_it_is(
    yard: Yard, meeting: Meeting, kind: Kind, s3: LocalS3
) -> None:
    """Storage was slow to make what that run asked for, before its lease ran out."""
    upload = kind.send(yard)
    meeting.before = lambda: yard.originals.put(
        upload.object_key,
        kind.content,
        content_type=upload.content_type,
        cache_control="private",
        metadata={"upload-id": str(upload.id), "sha256": sha256(kind.content)},
    )
    yard.assemble(upload, originals=meeting)
    assert_whole(yard, upload, kind, s3)
    assert yard.unfinished() == []


def test_a_file_that_is_there_is_not_made_again(yard: Yard, kind: Kind, s3: LocalS3) -> None:
    upload = kind.send(yard)
    made_by = calls_of(yard, kind).index(
        "put" if len(kind.content) <= 5 * MIB else "complete_parts"
    )
    yard.announced.clear()
    with pytest.raises(Killed):
        assemble(Life(made_by + 1, before=False).places(yard.places), str(upload.id))
    yard.end_lease(upload)
    life = Life()
    assemble(life.places(yard.places), str(upload.id))
    assert not {"read", "put", "begin_parts"} & set(life.calls)
    assert_whole(yard, upload, kind, s3)


LATE: dict[str, Callable[..., object]] = {
    "finish": lambda connection, claimed: assembly_store.finish(connection, claimed, "0" * 64),
    "fail": lambda connection, claimed: assembly_store.fail(connection, claimed, "X"),
    "refuse": lambda connection, claimed: assembly_store.refuse(connection, claimed, "X"),
    "reopen": lambda connection, claimed: assembly_store.reopen(connection, claimed, 0),
    "record": lambda connection, claimed: assembly_store.record_parts(connection, claimed, "X"),
    "release": assembly_store.release,
}


@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize("reached", ["taken over", "taken over and back", "again", "aborted"])
def test_a_run_that_comes_too_late_changes_nothing(
    yard: Yard, second: Yard, late: str, reached: str
) -> None:
    upload = yard.send(b"notes")
    slow = yard.claim(upload)
    assert slow is not None
    if reached == "aborted":
        second.abort(upload)
    else:
        second.end_lease(upload)
        quick = second.claim(upload)
        assert quick is not None
        if reached != "taken over":
            second.database.transact(lambda c: assembly_store.release(c, quick))
        if reached == "again":
            assert second.claim(upload) is not None
    before = yard.row(upload), yard.media(upload)
    assert not yard.database.transact(lambda connection: LATE[late](connection, slow))
    assert (yard.row(upload), yard.media(upload)) == before


def test_of_messages_at_the_same_time_one_is_worked_on(
    yard: Yard, database_url: str, s3: LocalS3
) -> None:
    kind = KINDS["document in one PUT"]
    upload = kind.send(yard)

    def run(database: Database) -> str:
        try:
            assemble(Places(database, yard.staging, yard.originals, yard.published, print), id_)
        except Unavailable:
            return "comes back"
        return "done"

    id_ = str(upload.id)
    outcomes = race(database_url, [run] * 6)
    assert "done" in outcomes
    yard.assemble(upload)
    assert yard.row(upload)["assembly_attempts"] == 1
    assert_whole(yard, upload, kind, s3)


# Given up before, while and after


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("how", ["abort", "delete"])
def test_what_is_given_up_while_it_is_made_is_gone(
    yard: Yard, second: Yard, meeting: Meeting, kind: Kind, moment: str, how: str
) -> None:
    upload = kind.send(yard)
    setattr(meeting, moment, lambda: give_up(second, upload, how))
    with suppress(Unavailable):
        yard.assemble(upload, originals=meeting)
    yard.assemble(upload)
    assert yard.states(upload) == ("aborted", None, None)
    assert (yard.made(), yard.staged(), yard.unfinished()) == ({}, {}, [])


def give_up(yard: Yard, upload: Upload, how: str) -> None:
    if how == "abort":
        yard.abort(upload)
        return
    delete_media(
        yard.database,
        yard.staging,
        yard.originals,
        yard.published,
        upload.media_id,
        actor_id=yard.owner_id,
        owner_id=yard.owner_id,
    )


@TWO_KINDS
def test_what_is_given_up_at_any_call_is_gone(yard: Yard, second: Yard, kind: Kind) -> None:
    for number in range(1, len(calls_of(yard, kind)) + 1):
        upload = kind.send(yard)
        with suppress(Unavailable):
            life = Life(number)
            life.end = partial(abort_unless_complete, second, upload)
            assemble(life.places(yard.places), str(upload.id))
        yard.assemble(upload)
        if yard.row(upload)["state"] == "aborted":
            assert yard.media(upload) is None
            assert upload.object_key not in yard.made()
            assert (yard.staged(), yard.unfinished()) == ({}, [])
        else:
            assert yard.row(upload)["state"] == "completed"
            assert yard.made()[upload.object_key] == kind.content


def abort_unless_complete(yard: Yard, upload: Upload) -> None:
    yard.database.transact(lambda c: upload_store.abort(c, upload.id, None))


def test_what_is_given_up_before_is_not_made(yard: Yard) -> None:
    upload = yard.send(b"notes")
    yard.abort(upload)
    yard.assemble(upload)
    assert (yard.made(), yard.staged()) == ({}, {})


@pytest.mark.parametrize("how", ["gone", "hidden"])
def test_without_a_media_nobody_wants_the_file(yard: Yard, how: str) -> None:
    upload = yard.send(b"notes")
    if how == "gone":
        yard.remove_media(upload)
    else:
        yard.change_media(upload, deleted_at=func.now())
    yard.assemble(upload)
    assert yard.row(upload)["state"] == "aborted"
    assert (yard.made(), yard.staged()) == ({}, {})


def test_a_photo_processed_before_it_was_given_up_leaves_no_variants(
    yard: Yard, second: Yard, meeting: Meeting, s3: LocalS3
) -> None:
    """S3 tells of the file as soon as it is there, before the run that made it is done."""
    upload = yard.send(photos.small_jpeg(), filename="leaf.jpg")

    def process_and_abort() -> None:
        second.process(upload)
        assert second.states(upload)[2] == "ready"
        second.abort(upload)

    meeting.after = process_and_abort
    yard.assemble(upload, originals=meeting)
    assert (yard.made(), yard.variants()) == ({}, {})


def test_a_photo_processed_before_its_upload_is_complete_stays_ready(
    yard: Yard, second: Yard, meeting: Meeting
) -> None:
    upload = yard.send(photos.small_jpeg(), filename="leaf.jpg")
    meeting.after = lambda: second.process(upload)
    yard.assemble(upload, originals=meeting)
    assert yard.states(upload) == ("completed", None, "ready")


# Refused


def test_a_file_of_another_kind_is_refused_for_good(yard: Yard) -> None:
    upload = yard.send(b"PK\x03\x04" + bytes(1000), filename="leaf.jpg")
    yard.assemble(upload)
    assert yard.states(upload) == ("failed", "NOT_AN_IMAGE", "rejected")
    assert yard.row(upload)["refused"] is True
    media = yard.media(upload)
    assert media is not None
    assert media["rejected_reason"] == "NOT_AN_IMAGE"
    assert (yard.made(), yard.staged(), yard.announced) == ({}, {}, [])
