"""Runs that are raced or overtaken on the way from chunks to one file."""

from collections.abc import Callable
from contextlib import suppress

import pytest

from fieldgate.db.engine import Database
from fieldgate.errors import Unavailable
from tests.support.assembly import MIB, Killed, Life, Yard
from tests.support.assembly_faults import KINDS, Kind, Meeting, assert_whole, calls_of
from tests.support.media import sha256
from tests.support.racing import race
from tests.support.s3 import LocalS3
from uploads import assembly_store
from uploads.assembling import Places, assemble


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
