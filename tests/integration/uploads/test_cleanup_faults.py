"""The schedule that removes what uploads leave behind: faults, races and many at once."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, override
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, text

from fieldgate import deadline
from fieldgate.db.engine import Database
from fieldgate.db.url import parse_url
from fieldgate.errors import Unavailable
from fieldgate.storage import StorageError
from fieldgate.storage.s3 import S3Storage
from tests.support.assembly import MIB, Life, Yard, some_text
from tests.support.cleanup import KIB, LONG_AGO, TEXT, begin, clean
from tests.support.gateway import LambdaContext
from tests.support.log import Log
from tests.support.racing import race
from tests.support.s3 import STAGING, LocalS3
from tests.support.sender import Sender
from tests.support.sqs import LocalSqs
from uploads import (
    assemble_upload,
    assembling,
    cleaning,
    cleaning_store,
)
from uploads.assembling import assemble
from uploads.cleaning import clean_up


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
