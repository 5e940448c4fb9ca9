"""Uploads that are given up before, while and after their file is made."""

from contextlib import suppress
from functools import partial

import pytest
from sqlalchemy import func

from fieldgate.errors import Unavailable
from tests import photos
from tests.support.assembly import Life, Yard
from tests.support.assembly_faults import TWO_KINDS, Kind, Meeting, calls_of
from tests.support.s3 import LocalS3
from uploads import upload_store
from uploads.assembling import assemble
from uploads.deleting import delete_media
from uploads.upload_store import Upload


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
