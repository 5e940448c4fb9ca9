"""Runs that are killed or starved on the way from chunks to one file."""

from contextlib import suppress

import pytest

from fieldgate.errors import Unavailable
from fieldgate.storage import StorageError
from local.faults import FaultMode
from tests.support.assembly import Killed, Life, Yard
from tests.support.assembly_faults import KINDS, TWO_KINDS, Kind, assert_whole, calls_of
from tests.support.media import sha256
from tests.support.s3 import LocalS3
from uploads import assembling
from uploads.assembling import assemble


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
