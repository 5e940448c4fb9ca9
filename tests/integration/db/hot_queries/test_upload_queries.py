"""How media, and uploads in chunks, find their rows."""

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, text

from fieldgate.db.engine import Database
from fieldgate.db.tables.uploads import uploads
from tests.support.hot_queries import Hot, faults, page_of
from tests.support.million import ROWS, person
from uploads import assembly_store, cleaning_store, store, upload_store
from uploads.cleaning import BATCH
from uploads.file_rules import DeclaredFile, Folder
from uploads.store import Media
from uploads.upload_store import Upload

# Of a year. The last are on their way; one in five thousand was announced and never sent, one is
# half deleted.
MEDIA = f"""
    INSERT INTO media (id, owner_id, folder, filename, content_type, size, object_key, state,
        processing_attempts, created_at, updated_at, deleted_at)
    SELECT made(n, at), person(whose(n)),
        CASE WHEN mod(n, 100) = 3 THEN 'crop-demands' ELSE 'farmers' END, 'leaf.jpg', 'image/jpeg',
        5, 'farmers/' || n || '.jpg',
        CASE WHEN n >= {ROWS} - 400 OR mod(n, 5000) = 7 THEN 'pending' ELSE 'ready' END, 1, at, at,
        CASE WHEN mod(n, 5000) = 9 THEN at END
    FROM generate_series(0, {ROWS - 1}) AS n, LATERAL (SELECT at(n, 365, now()) AS at) AS made"""
# Of a week. The last 200 go on, 200 are put together, 200 were given up and are to be cleaned; one
# in five thousand has expired.
UPLOADS = f"""
    INSERT INTO uploads (id, media_id, owner_id, object_key, content_type, size, chunk_size, state,
        created_at, updated_at, last_signed_at, expires_at, cleaned_at)
    SELECT made(n + {ROWS}, at), made(n, at(n, 365, now())), person(whose(n)), n || '.jpg',
        'image/jpeg', 5, 5,
        CASE WHEN age < 200 OR is_over THEN 'uploading' WHEN age < 400 THEN 'assembling'
            WHEN age < 600 THEN 'aborted' ELSE 'completed' END,
        at, at, at, at + interval '24 hours',
        CASE WHEN age >= 600 AND NOT is_over THEN at + interval '70 minutes' END
    FROM generate_series(0, {ROWS - 1}) AS n,
        LATERAL (SELECT at(n, 8, now() - interval '2 hours') AS at, {ROWS} - n AS age,
            mod(n, 5000) = 11 AS is_over) AS made"""
TABLES = (MEDIA, UPLOADS)

START = UUID(int=0)
PHOTO = DeclaredFile("leaf.jpg", ".jpg", "image/jpeg", 5)
KEY = f"farmers/{ROWS - 1}.jpg"


def a_media(use: Callable[[Connection, Media], object]) -> Callable[[Connection], object]:
    def run(connection: Connection) -> object:
        media = store.find_by_key(connection, KEY)
        assert media is not None
        return use(connection, media)

    return run


def claimed(use: Callable[[Connection, Media], object]) -> Callable[[Connection], object]:
    def run(connection: Connection) -> object:
        media = store.claim_for_processing(connection, KEY)
        assert media is not None
        return use(connection, media)

    return run


def an_upload(
    state: str, use: Callable[[Connection, UUID], object]
) -> Callable[[Connection], object]:
    query = text("""
        SELECT id FROM uploads WHERE cleaned_at IS NULL AND state = :state AND expires_at > now()
        ORDER BY id DESC LIMIT 1""")

    def run(connection: Connection) -> object:
        return use(connection, connection.execute(query, {"state": state}).scalar_one())

    return run


def assembling(
    use: Callable[[Connection, assembly_store.Claim], object],
) -> Callable[[Connection], object]:
    def claim(connection: Connection, upload_id: UUID) -> object:
        found = assembly_store.claim(connection, upload_id)
        assert found is not None
        return use(connection, found)

    return an_upload("assembling", claim)


def fail_and_resume(connection: Connection, upload_id: UUID) -> Upload | None:
    values: dict[str, Any] = {"state": "failed", "failure_reason": "TOO_MANY_FAILURES"}
    upload_store.move(connection, uploads.c.id == upload_id, **values)
    return upload_store.resume(connection, upload_id, None)


def page(owner: UUID | None, folder: Folder | None) -> Hot:
    return page_of(lambda c: store.find_page(c, owner, folder, 20, 0))


QUERIES: dict[str, Hot] = {
    "uploads.store.add_media": Hot(
        lambda c: store.add_media(c, person(7), Folder.FARMERS, PHOTO, None)
    ),
    "uploads.store.find": Hot(a_media(lambda c, media: store.find(c, media.id, media.owner_id))),
    "uploads.store.find_by_key": Hot(lambda c: store.find_by_key(c, KEY)),
    "uploads.store.find_page": page(person(7), None),
    "uploads.store.find_page, of who has many": page(person(0), None),
    "uploads.store.find_page, of a folder": page(person(0), Folder.FARMERS),
    "uploads.store.find_page, of a folder with few": page(person(0), Folder.CROP_DEMANDS),
    "uploads.store.find_page, of everybody": page(None, None),
    "uploads.store.find_page, of everybody and a folder": page(None, Folder.FARMERS),
    "uploads.store.find_page, of everybody and an empty folder": page(None, Folder.CLIENTS),
    "uploads.store.claim_for_processing": Hot(claimed(lambda _c, _media: None)),
    "uploads.store.release": Hot(claimed(store.release)),
    "uploads.store.finish": Hot(claimed(lambda c, media: store.finish(c, media, "0" * 64, {}))),
    "uploads.store.reject": Hot(claimed(lambda c, media: store.reject(c, media, "BROKEN"))),
    "uploads.store.hide": Hot(a_media(lambda c, media: store.hide(c, media.id, media.owner_id))),
    "uploads.store.remove": Hot(a_media(lambda c, media: store.remove(c, media.id))),
    "uploads.upload_store.add": Hot(
        lambda c: upload_store.add(c, person(7), Folder.FARMERS, PHOTO, None, 524_288)
    ),
    "uploads.upload_store.find": Hot(
        an_upload("uploading", lambda c, one: upload_store.find(c, one, None))
    ),
    "uploads.upload_store.sign": Hot(
        an_upload("uploading", lambda c, one: upload_store.sign(c, one, None))
    ),
    "uploads.upload_store.count_failure": Hot(
        an_upload("uploading", lambda c, one: upload_store.count_failure(c, one, 1))
    ),
    "uploads.upload_store.resume": Hot(an_upload("uploading", fail_and_resume)),
    "uploads.upload_store.begin_assembly": Hot(an_upload("uploading", upload_store.begin_assembly)),
    "uploads.upload_store.abort": Hot(
        an_upload("uploading", lambda c, one: upload_store.abort(c, one, None))
    ),
    "uploads.upload_store.abort_of_media": Hot(
        a_media(lambda c, media: upload_store.abort_of_media(c, media.id, media.owner_id))
    ),
    "uploads.assembly_store.claim": Hot(assembling(lambda _c, _claim: None)),
    "uploads.assembly_store.release": Hot(assembling(assembly_store.release)),
    "uploads.assembly_store.record_parts": Hot(
        assembling(lambda c, claim: assembly_store.record_parts(c, claim, "parts"))
    ),
    "uploads.assembly_store.reopen": Hot(
        assembling(lambda c, claim: assembly_store.reopen(c, claim, 1))
    ),
    "uploads.assembly_store.fail": Hot(
        assembling(lambda c, claim: assembly_store.fail(c, claim, "BROKEN"))
    ),
    "uploads.assembly_store.refuse": Hot(
        assembling(lambda c, claim: assembly_store.refuse(c, claim, "BROKEN"))
    ),
    "uploads.assembly_store.finish": Hot(
        assembling(lambda c, claim: assembly_store.finish(c, claim, "0" * 64))
    ),
    "uploads.cleaning_store.expire": Hot(lambda c: cleaning_store.expire(c, BATCH)),
    "uploads.cleaning_store.forgotten": Hot(lambda c: cleaning_store.forgotten(c, START, BATCH)),
    "uploads.cleaning_store.ended": Hot(lambda c: cleaning_store.ended(c, START, BATCH)),
    "uploads.cleaning_store.mark_cleaned": Hot(an_upload("aborted", cleaning_store.mark_cleaned)),
    "uploads.cleaning_store.uncleaned": Hot(
        lambda c: cleaning_store.uncleaned(c, [UUID(int=n) for n in range(BATCH)])
    ),
    "uploads.cleaning_store.never_sent": Hot(lambda c: cleaning_store.never_sent(c, START, BATCH)),
    "uploads.cleaning_store.drop": Hot(a_media(lambda c, media: cleaning_store.drop(c, media.id))),
    "uploads.cleaning_store.half_deleted": Hot(
        lambda c: cleaning_store.half_deleted(c, START, BATCH)
    ),
    "uploads.cleaning_store.forget": Hot(partial(cleaning_store.forget, batch=BATCH)),
}


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_finds_its_rows_among_a_million(full: Database, name: str) -> None:
    assert faults(full, QUERIES[name]) == []
