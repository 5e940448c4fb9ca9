"""The schedule that removes what uploads leave behind: each duty for uploads, and the function."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, override
from uuid import uuid4

import pytest
from sqlalchemy import func, select

from fieldgate.db.engine import Database
from fieldgate.db.tables.all import change_log, uploads
from fieldgate.schedules import RESERVE_SECONDS
from fieldgate.storage.s3 import S3Storage
from tests import photos
from tests.support.assembly import Yard
from tests.support.cleanup import LONG_AGO, TEXT, begin, clean
from tests.support.gateway import LambdaContext
from tests.support.log import Log
from tests.support.s3 import ORIGINALS, LocalS3
from tests.support.sqs import LocalSqs
from uploads import (
    cleaning,
    cleanup_uploads,
)

NOTHING = {
    "expire": 0,
    "ask_again": 0,
    "clean_ended": 0,
    "remove_orphans": 0,
    "give_parts_up": 0,
    "settle_never_sent": 0,
    "finish_deletions": 0,
    "forget": 0,
}
EVENT = json.loads((Path(__file__).parents[3] / "events/cleanup_uploads.json").read_text())


# 1. What has expired


@pytest.mark.parametrize("state", ["created", "uploading", "failed"])
def test_an_upload_whose_time_is_over_expires_and_nothing_of_it_stays(
    yard: Yard, state: str
) -> None:
    reason = "TOO_MANY_FAILURES" if state == "failed" else None
    upload = begin(yard, state=state, failure_reason=reason, expires_at=func.now())
    assert clean(yard) == {"expire": 1, "clean_ended": 1}
    assert yard.states(upload) == ("expired", None, None)
    assert yard.row(upload)["cleaned_at"] is not None
    assert yard.staged() == {}
    assert clean(yard) == {}


@pytest.mark.parametrize("state", ["created", "uploading", "failed", "assembling"])
def test_a_live_upload_is_never_touched(yard: Yard, state: str, asked: list[str]) -> None:
    reason = "TOO_MANY_FAILURES" if state == "failed" else None
    upload = begin(yard, state=state, failure_reason=reason)
    yard.change_media(upload, created_at=func.now() - timedelta(days=3))
    before = yard.row(upload), yard.media(upload), yard.staged()
    assert clean(yard, asked) == {}
    assert (yard.row(upload), yard.media(upload), yard.staged()) == before
    assert asked == []


def test_one_that_is_put_together_does_not_expire(yard: Yard) -> None:
    upload = begin(yard, state="assembling", expires_at=func.now() - LONG_AGO)
    assert clean(yard) == {}
    yard.assemble(upload)
    assert yard.states(upload) == ("completed", None, "stored")


def test_one_whose_file_was_refused_stays_so_and_its_media_tells_why(yard: Yard) -> None:
    upload = yard.send(b"\0", filename="notes.txt")
    yard.assemble(upload)
    yard.change(upload, expires_at=func.now(), last_signed_at=func.now() - LONG_AGO)
    assert clean(yard) == {"clean_ended": 1}
    assert yard.states(upload) == ("failed", "NOT_TEXT", "rejected")


def test_that_it_expired_is_in_the_media_s_history(yard: Yard) -> None:
    upload = begin(yard, expires_at=func.now())
    clean(yard)
    statement = select(change_log.c.actor).where(
        change_log.c.entity_id == str(upload.media_id), change_log.c.action == "delete"
    )
    actors = yard.database.read(lambda connection: list(connection.execute(statement).scalars()))
    assert actors == [cleaning.ACTOR]


# 2. What nobody works on


def test_what_nobody_puts_together_is_asked_for_again(yard: Yard, asked: list[str]) -> None:
    upload = begin(yard, state="assembling", updated_at=func.now() - timedelta(minutes=21))
    assert clean(yard, asked) == {"ask_again": 1}
    assert asked == [str(upload.id)]


@pytest.mark.parametrize(
    "values",
    [
        {"updated_at": func.now() - timedelta(minutes=19)},
        {"updated_at": func.now() - LONG_AGO, "assembling_since": func.now()},
    ],
    ids=["just now", "a run is at it"],
)
def test_what_somebody_works_on_is_left_to_them(
    yard: Yard, asked: list[str], values: dict[str, Any]
) -> None:
    begin(yard, state="assembling", **values)
    assert clean(yard, asked) == {}
    assert asked == []


# 3. What has ended


ENDED: dict[str, dict[str, Any]] = {
    "completed": {"state": "completed"},
    "aborted": {"state": "aborted"},
    "expired": {"state": "expired"},
    "refused": {"state": "failed", "failure_reason": "NOT_TEXT", "refused": True},
}


@pytest.mark.parametrize("ended", ENDED)
def test_nothing_of_an_upload_that_is_over_stays_but_its_file(yard: Yard, ended: str) -> None:
    upload = begin(yard, **ENDED[ended])
    yard.change_media(upload, state="stored")
    original: dict[str, Any] = {"content_type": "text/plain", "cache_control": "private"}
    yard.originals.put(upload.object_key, TEXT, **original)
    parts = yard.originals.begin_parts(upload.object_key, metadata={}, **original)
    yard.change(upload, multipart_id=parts)

    assert clean(yard) == {"clean_ended": 1}

    assert (yard.staged(), yard.unfinished()) == ({}, [])
    given_up = ended in {"aborted", "expired"}
    assert yard.made() == ({} if given_up else {upload.object_key: TEXT})
    assert yard.row(upload)["cleaned_at"] is not None
    assert clean(yard) == {}


@pytest.mark.parametrize("ended", ENDED)
@pytest.mark.parametrize(
    "values",
    [
        {"last_signed_at": func.now() - timedelta(minutes=64)},
        {"assembling_since": func.now() - timedelta(minutes=2)},
    ],
    ids=["a URL may live", "a run may"],
)
def test_as_long_as_something_may_come_it_is_not_over(
    yard: Yard, ended: str, values: dict[str, Any]
) -> None:
    upload = begin(yard, **(ENDED[ended] | values))
    yard.change_media(upload, state="stored")
    assert clean(yard) == {}
    assert len(yard.staged()) == 2


def test_one_that_was_never_signed_is_over_at_once(yard: Yard) -> None:
    upload = begin(yard, state="aborted", last_signed_at=None)
    yard.remove_media(upload)
    assert clean(yard) == {"clean_ended": 1}


def test_the_variants_of_an_aborted_photo_go_as_well(yard: Yard) -> None:
    content = photos.small_jpeg()
    upload = yard.send(content, filename="leaf.jpg")
    yard.originals.put(
        upload.object_key, content, content_type="image/jpeg", cache_control="private"
    )
    yard.process(upload)
    assert len(yard.variants()) == 2
    yard.abort(upload)
    yard.change(upload, last_signed_at=func.now() - LONG_AGO)
    clean(yard)
    assert (yard.made(), yard.variants()) == ({}, {})


# 4. Chunks of nobody


def test_chunks_that_come_after_all_was_cleaned_up_are_removed(yard: Yard) -> None:
    upload = begin(yard, state="aborted", cleaned_at=func.now())
    yard.remove_media(upload)
    yard.store(f"staging/{uuid4()}/00001-{'0' * 64}", b"of an upload that is forgotten")
    assert clean(yard) == {"remove_orphans": 2}
    assert yard.staged() == {}


@pytest.mark.parametrize(
    "folder",
    ["notes", "0198a5b6", str(uuid4()).upper(), f"{{{uuid4()}}}"],
    ids=["word", "short", "capitals", "braces"],
)
def test_what_is_not_ours_is_left_alone(yard: Yard, folder: str, log: Log) -> None:
    yard.store(f"staging/{folder}/x", b"x")
    yard.store("exports/2026.csv", b"x")
    assert clean(yard) == {}
    assert len(yard.staged()) == 2
    (line,) = log.said("not a folder of ours")
    assert line["folder"] == ascii(folder)


# 5. Parts of nobody


def test_parts_that_were_begun_hours_ago_are_given_up(yard: Yard, s3: LocalS3) -> None:
    original: dict[str, Any] = {
        "content_type": "text/plain",
        "cache_control": "private",
        "metadata": {},
    }
    old = [yard.originals.begin_parts(f"farmers/{name}.txt", **original) for name in "ab"]
    new = yard.originals.begin_parts("farmers/c.txt", **original)

    class Later(S3Storage):
        """Storage that has had the first two for longer."""

        @override
        def unfinished_parts(self) -> Iterator[Any]:
            for parts in super().unfinished_parts():
                age = timedelta(minutes=181 if parts.multipart_id in old else 179)
                yield replace(parts, began_at=datetime.now(UTC) - age)

    later = Later(s3.place(ORIGINALS), s3.credentials)
    assert clean(yard, originals=later) == {"give_parts_up": 2}
    assert yard.unfinished() == [new]


# 8. What nobody asks about any more


@pytest.mark.parametrize(("days", "left"), [(8, 0), (6, 1)])
def test_an_upload_is_forgotten_a_week_after_it_was_cleaned_up(
    yard: Yard, days: int, left: int
) -> None:
    upload = yard.begin(TEXT, state="completed", cleaned_at=func.now() - timedelta(days=days))
    yard.change_media(upload, state="stored")
    assert clean(yard) == ({} if left else {"forget": 1})
    count = select(func.count()).select_from(uploads)
    assert yard.database.read(lambda connection: connection.scalar(count)) == left
    assert yard.media(upload) is not None


# The function


def test_the_function_makes_a_round_under_the_events_id(
    deployed: Database, yard: Yard, sqs: LocalSqs, log: Log
) -> None:
    upload = begin(yard, state="assembling", updated_at=func.now() - LONG_AGO)
    begin(yard, expires_at=func.now())
    done = cleanup_uploads.handler(EVENT, LambdaContext(120_000))
    assert done == NOTHING | {"expire": 1, "ask_again": 1, "clean_ended": 1}
    assert [record["body"] for record in sqs.receive()["Records"]] == [str(upload.id)]
    (line,) = log.said("cleaned up")
    assert line["request_id"] == EVENT["id"]


def test_the_function_stops_when_its_time_is_up(deployed: Database, yard: Yard) -> None:
    begin(yard, expires_at=func.now())
    assert cleanup_uploads.handler(EVENT, LambdaContext(RESERVE_SECONDS * 1000)) is None
