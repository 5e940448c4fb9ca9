"""The schedule that removes what uploads leave behind: each duty, races, faults, many at once."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, override
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, text, update

from fieldgate import deadline
from fieldgate.db.engine import Database
from fieldgate.db.tables import change_log, media, uploads
from fieldgate.db.url import parse_url
from fieldgate.errors import Unavailable
from fieldgate.http import idempotency
from fieldgate.schedules import RESERVE_SECONDS
from fieldgate.storage import StorageError
from fieldgate.storage.s3 import S3Storage
from tests import photos
from tests.support.assembly import MIB, Life, Yard, some_text
from tests.support.gateway import LambdaContext
from tests.support.log import Log
from tests.support.racing import race
from tests.support.s3 import MEDIA, ORIGINALS, STAGING, LocalS3
from tests.support.sender import Sender
from tests.support.sqs import LocalSqs
from uploads import (
    assemble_upload,
    assembling,
    cleaning,
    cleaning_store,
    cleanup_uploads,
    presigning,
)
from uploads.assembling import assemble
from uploads.cleaning import clean_up
from uploads.processing import process_upload
from uploads.upload_store import Upload

KIB = 1024
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
TEXT = some_text(150 * KIB)
LONG_AGO = timedelta(hours=2)
EVENT = json.loads((Path(__file__).parents[3] / "events/cleanup_uploads.json").read_text())


@pytest.fixture
def asked() -> list[str]:
    """The uploads that somebody was asked to put together."""
    return []


def clean(yard: Yard, asked: list[str] | None = None, **other: Any) -> dict[str, int]:
    """Make one round; return what was done of what there is to do."""
    taken: list[str] = [] if asked is None else asked

    def ask(ids: Any) -> int:
        taken.extend(ids)
        return len(ids)

    done = clean_up(replace(yard.places, **other), ask)
    return {name: number for name, number in done.items() if number}


def begin(yard: Yard, **values: Any) -> Upload:
    """An upload with both of its chunks in storage, of which no URL lives any more."""
    old = {"last_signed_at": func.now() - LONG_AGO}
    upload = yard.begin(TEXT, chunk_size=100 * KIB, **(old | values))
    yard.put_all(upload, TEXT)
    return upload


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


# 6. What was announced and never sent


def before(**time: float) -> dict[str, Any]:
    then = func.now() - timedelta(**time)
    return {"created_at": then, "updated_at": then}


NEVER_SENT = before(hours=26, minutes=1)


def backdate(yard: Yard, upload: Upload, **values: Any) -> None:
    """Change a media past the trigger that notes when it was changed."""

    def change(connection: Any) -> None:
        connection.execute(text("ALTER TABLE media DISABLE TRIGGER touch_updated_at"))
        connection.execute(update(media).where(media.c.id == upload.media_id).values(values))
        connection.execute(text("ALTER TABLE media ENABLE ALWAYS TRIGGER touch_updated_at"))

    yard.database.transact(change)


def announce(yard: Yard, filename: str, **values: Any) -> Upload:
    """A media that is to come in one request: no upload has it."""
    upload = yard.begin(TEXT, filename=filename)
    backdate(yard, upload, **(NEVER_SENT | values))
    yard.forget(upload)
    return upload


def test_a_media_that_was_never_sent_is_deleted(yard: Yard) -> None:
    upload = announce(yard, "leaf.jpg")
    assert clean(yard) == {"settle_never_sent": 1}
    assert yard.media(upload) is None


def test_a_photo_that_is_there_and_was_never_processed_is_announced(yard: Yard) -> None:
    upload = announce(yard, "leaf.jpg")
    yard.originals.put(
        upload.object_key, photos.small_jpeg(), content_type="image/jpeg", cache_control="private"
    )
    assert clean(yard) == {"settle_never_sent": 1}
    assert yard.announced == [upload.object_key]
    assert yard.media_by_id(upload.media_id)["state"] == "pending"


def test_a_photo_whose_upload_is_complete_and_that_nobody_processed_is_announced(
    yard: Yard,
) -> None:
    upload = yard.send(photos.small_jpeg(), filename="leaf.jpg")
    yard.assemble(upload)
    yard.announced.clear()
    backdate(yard, upload, **NEVER_SENT)
    assert clean(yard) == {"settle_never_sent": 1}
    assert yard.announced == [upload.object_key]


def test_a_photo_that_cannot_be_processed_is_announced_once_a_day(yard: Yard, s3: LocalS3) -> None:
    content = photos.small_jpeg()
    upload = announce(yard, "leaf.jpg", size=len(content))
    yard.originals.put(
        upload.object_key, content, content_type="image/jpeg", cache_control="private"
    )

    class Defect(S3Storage):
        @override
        def put(self, *_: Any, **__: Any) -> None:
            raise ZeroDivisionError

    def try_it() -> None:
        places = yard.database, yard.originals, Defect(s3.place(MEDIA), s3.credentials)
        with pytest.raises(ZeroDivisionError):
            process_upload(*places, upload.object_key)

    assert clean(yard) == {"settle_never_sent": 1}
    try_it()
    assert clean(yard) == {}
    backdate(yard, upload, updated_at=func.now() - timedelta(hours=23))
    assert clean(yard) == {}
    backdate(yard, upload, updated_at=func.now() - timedelta(hours=25))
    assert clean(yard) == {"settle_never_sent": 1}
    assert yard.announced == [upload.object_key] * 2
    yard.process(upload)
    assert yard.media_by_id(upload.media_id)["state"] == "ready"


def test_a_photo_that_could_not_be_announced_is_in_the_next_round(yard: Yard) -> None:
    upload = announce(yard, "leaf.jpg")
    yard.originals.put(
        upload.object_key, photos.small_jpeg(), content_type="image/jpeg", cache_control="private"
    )

    def refuse(_key: str) -> None:
        raise Unavailable("on purpose")

    with pytest.raises(Unavailable):
        clean(yard, announce=refuse)
    assert clean(yard) == {"settle_never_sent": 1}


def test_what_begins_to_be_processed_while_it_is_looked_at_is_left_alone(
    yard: Yard, s3: LocalS3
) -> None:
    """Sent too late for the look into storage, and in time for all else."""
    upload = announce(yard, "leaf.jpg")

    class Before(S3Storage):
        @override
        def head(self, key: str) -> Any:
            found = super().head(key)
            yard.change_media(upload, state="processing")
            return found

    originals = Before(s3.place(ORIGINALS), s3.credentials)
    assert clean(yard, originals=originals) == {}
    assert yard.media_by_id(upload.media_id)["state"] == "processing"


def test_what_counts_as_never_sent_cannot_be_on_its_way() -> None:
    """With the last moment of its key, the last URL; with the last of that, the last request."""
    last_request = idempotency.LIFETIME + presigning.URL_LIFETIME
    assert last_request + timedelta(minutes=30) < cleaning_store.NEVER_SENT


@pytest.mark.parametrize(
    "values",
    [
        before(hours=25, minutes=30),
        {"state": "stored"},
        {"state": "processing"},
        {"deleted_at": func.now()},
    ],
    ids=["may still come", "stored", "at work", "being deleted"],
)
def test_any_other_media_is_left_alone(yard: Yard, values: dict[str, Any]) -> None:
    upload = announce(yard, "leaf.jpg", **values)
    before = yard.media(upload)
    assert clean(yard) == {}
    assert yard.media(upload) == before


# 7. What was hidden and not quite deleted


def test_a_deletion_that_was_broken_off_is_finished(yard: Yard) -> None:
    upload = announce(yard, "notes.txt", state="stored", deleted_at=func.now() - LONG_AGO)
    yard.originals.put(upload.object_key, TEXT, content_type="x/y", cache_control="private")
    assert clean(yard) == {"finish_deletions": 1}
    assert (yard.media(upload), yard.made()) == (None, {})


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


# Many, at once, and with faults


def many(yard: Yard, number: int, state: str, **columns: str) -> None:
    """Add uploads by the thousand, and their media; `columns` are in SQL."""
    names, values = (",".join(["state", *columns]), ",".join([f"'{state}'", *columns.values()]))
    statement = f"""
        WITH added AS (
            INSERT INTO media (owner_id, folder, filename, content_type, size, object_key, state)
            SELECT :owner_id, 'farmers', 'notes.txt', 'text/plain', 5, gen_random_uuid(), :state
            FROM generate_series(1, :number) RETURNING id, owner_id, object_key)
        INSERT INTO uploads (media_id, owner_id, object_key, content_type, size, chunk_size,
            expires_at, {names})
        SELECT id, owner_id, object_key, 'text/plain', 5, 5, now() - interval '1 hour', {values}
        FROM added"""
    media_state = "stored" if state == "completed" else "pending"
    parameters = {"owner_id": yard.owner_id, "number": number, "state": media_state}
    yard.database.transact(lambda connection: connection.execute(text(statement), parameters))


def test_more_than_a_batch_is_done_in_one_round(yard: Yard, asked: list[str]) -> None:
    number = 2 * cleaning.BATCH + 1
    # Of these the URLs may live, so storage has no part in this.
    many(yard, number, "uploading", last_signed_at="now()")
    many(yard, number, "assembling", updated_at="now() - interval '1 hour'")
    many(yard, number, "completed", cleaned_at="now() - interval '8 days'")
    assert clean(yard, asked) == {"expire": number, "ask_again": number, "forget": number}
    assert len(set(asked)) == number


def test_more_than_a_batch_of_objects_is_removed(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleaning, "BATCH", 3)
    for _ in range(7):
        begin(yard, expires_at=func.now())
        yard.store(f"staging/{uuid4()}/00001-{'0' * 64}", b"x")
    assert clean(yard) == {"expire": 7, "clean_ended": 7, "remove_orphans": 7}
    assert yard.staged() == {}


class Refusing(S3Storage):
    """Storage that fails for one upload."""

    of: UUID
    error: type[Exception] = Unavailable

    @override
    def list(self, prefix: str) -> Iterator[Any]:
        if str(self.of) in prefix:
            raise self.error("on purpose")
        return super().list(prefix)


@pytest.mark.parametrize("error", [Unavailable, StorageError])
@pytest.mark.parametrize("which", [0, 3, 6])
def test_one_that_fails_keeps_no_other_from_being_cleaned_up(
    yard: Yard, monkeypatch: pytest.MonkeyPatch, which: int, error: type[Exception], log: Log
) -> None:
    monkeypatch.setattr(cleaning, "BATCH", 3)
    all_of_them = [begin(yard, expires_at=func.now()) for _ in range(7)]
    refusing = Refusing(yard.s3.place(STAGING), yard.s3.credentials)
    refusing.of, refusing.error = all_of_them[which].id, error
    with pytest.raises(Unavailable):  # so that an alarm goes off
        clean(yard, staging=refusing)
    cleaned = [yard.row(upload)["cleaned_at"] is not None for upload in all_of_them]
    assert cleaned == [number != which for number in range(7)]
    assert str(all_of_them[which].id) in log.said("not cleaned up")[0]["what"]
    assert clean(yard) == {"clean_ended": 1}


def test_with_storage_down_what_needs_none_is_done(yard: Yard, asked: list[str]) -> None:
    begin(yard, expires_at=func.now())
    begin(yard, state="assembling", updated_at=func.now() - LONG_AGO)
    yard.s3.faults.set("s3", "down", 60)
    with pytest.raises(Unavailable):
        clean(yard, asked)
    assert len(asked) == 1
    yard.s3.faults.set("s3", "down", 0)
    assert clean(yard, asked) == {"ask_again": 1, "clean_ended": 1}


def test_with_the_queue_down_the_rest_is_done(yard: Yard) -> None:
    begin(yard, state="assembling", updated_at=func.now() - LONG_AGO)
    begin(yard, expires_at=func.now())

    def refuse(_ids: object) -> int:
        raise Unavailable("on purpose")

    with pytest.raises(Unavailable):
        clean_up(yard.places, refuse)
    assert len(yard.staged()) == 2


def test_when_the_time_is_up_the_rest_is_the_next_rounds(yard: Yard) -> None:
    begin(yard, expires_at=func.now())
    with deadline.within(0):
        assert clean(yard) == {}
    assert clean(yard) == {"expire": 1, "clean_ended": 1}


def test_a_duty_that_takes_long_leaves_time_for_the_others(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of eight may take an eighth."""
    now = [0.0]
    monkeypatch.setattr(deadline, "time", SimpleNamespace(monotonic=lambda: now[0]))
    begin(yard, expires_at=func.now() - LONG_AGO)
    real = cleaning_store.expire

    def slow(connection: Any, batch: int) -> int:
        now[0] += 11
        real(connection, batch)
        return batch

    monkeypatch.setattr(cleaning_store, "expire", slow)
    with deadline.within(80):
        done = clean(yard)
    assert done["clean_ended"] == 1


def test_two_rounds_at_once_do_all_of_it_and_harm_nothing(
    yard: Yard, database_url: str, s3: LocalS3
) -> None:
    over = [begin(yard, expires_at=func.now()) for _ in range(12)]
    live = begin(yard)

    def work(database: Database) -> dict[str, int]:
        other = Yard(database, s3, yard.staging, yard.originals, yard.published, yard.owner_id)
        return clean(other)

    shares = race(database_url, [work] * 4)
    assert sum(share.get("expire", 0) for share in shares) == 12
    clean(yard)
    assert all(yard.row(upload)["cleaned_at"] is not None for upload in over)
    assert set(yard.staged()) == {key for key in yard.staged() if str(live.id) in key}
    assert len(yard.staged()) == 2
    yard.close(live)
    yard.assemble(live)
    assert yard.made() == {live.object_key: TEXT}


def test_a_client_at_work_while_rounds_are_made_loses_nothing(
    sender: Sender, yard: Yard, sqs: LocalSqs, database_url: str
) -> None:
    """Create, sign, put, complete, assemble: again and again, beside one round after the other."""
    over = threading.Event()

    def make_rounds() -> int:
        rounds = 0
        with closing(Database(lambda: parse_url(database_url, "the test"))) as database:
            while not over.is_set():
                clean(replace(yard, database=database))
                rounds += 1
        return rounds

    with ThreadPoolExecutor(1) as beside:
        rounds = beside.submit(make_rounds)
        try:
            for number in range(8):
                content = some_text(250 * KIB + number)
                upload = sender.begin(content)
                sender.put_all(upload)
                assert sender.get(upload.id).data["missing"] == []
                assert sender.complete(upload.id).status == 202
                event = sqs.receive()
                sqs.settle(event, assemble_upload.handler(event, LambdaContext(120_000)))
                assert sender.get(upload.id).data["state"] == "completed"
                assert content in yard.made().values()
        finally:
            over.set()
        assert rounds.result(30) > 0
    assert len(yard.made()) == 8


def test_a_round_at_any_moment_of_an_assembly_changes_nothing_of_it(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assembling, "PART_BYTES", 5 * MIB)
    content = some_text(6 * MIB)

    def make_a_round() -> None:
        clean(yard)

    number, calls = 0, 1
    while number < calls:
        number += 1
        upload = yard.send(content, chunk_size=5 * MIB)
        # Begun, signed and over long ago, but for being put together.
        past = func.now() - timedelta(hours=30)
        yard.change(upload, last_signed_at=past, expires_at=past + timedelta(hours=24))
        yard.change_media(upload, created_at=past)
        life = Life(number)
        life.end = make_a_round
        assemble(life.places(yard.places), str(upload.id))
        calls = len(life.calls)
        assert yard.states(upload) == ("completed", None, "stored")
        assert yard.made()[upload.object_key] == content


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
