"""How the clean-up's queries find their rows, in tables of which nearly all is done with."""

from collections.abc import Callable
from uuid import UUID

import pytest
from sqlalchemy import Connection, text

from fieldgate.db.engine import Database
from tests.support.media import add_user
from tests.support.plans import plan_of
from uploads import cleaning_store
from uploads.cleaning import BATCH

START = UUID(int=0)
# Ten days of uploads. Of the last, 200 go on, 200 are put together, and 200 were given up and are
# to be cleaned. Of all, one in 200 has a media and nothing else, one a media that is half deleted,
# and one is to expire.
ROWS = 20_000
FILL = """
    WITH added AS (
        INSERT INTO media (owner_id, folder, filename, content_type, size, object_key, state,
            created_at, updated_at, deleted_at)
        SELECT :owner_id, 'farmers', 'leaf.jpg', 'image/jpeg', 5, gen_random_uuid(),
            CASE WHEN number <= 400 OR mod(number, 200) IN (0, 2) THEN 'pending' ELSE 'ready' END,
            at, at, CASE WHEN mod(number, 200) = 1 THEN at END
        FROM generate_series(:rows, 1, -1) AS number,
            LATERAL (SELECT now() - number * interval '45 seconds' AS at) AS times
        RETURNING id, owner_id, object_key, created_at AS at
    )
    INSERT INTO uploads (media_id, owner_id, object_key, content_type, size, chunk_size, state,
        created_at, updated_at, last_signed_at, expires_at, cleaned_at)
    SELECT id, owner_id, object_key, 'image/jpeg', 5, 5,
        CASE WHEN number <= 200 OR mod(number, 200) = 2 THEN 'uploading'
            WHEN number <= 400 THEN 'assembling'
            WHEN number <= 600 THEN 'aborted' ELSE 'completed' END,
        at, at, at, at + interval '24 hours',
        CASE WHEN number > 600 AND mod(number, 200) <> 2 THEN at + interval '70 minutes' END
    FROM (SELECT *, row_number() OVER (ORDER BY at DESC) AS number FROM added) AS numbered
    WHERE mod(number, 200) > 0"""


@pytest.fixture
def full(database: Database) -> Database:
    parameters = {"owner_id": add_user(database), "rows": ROWS}
    database.transact(lambda connection: connection.execute(text(FILL), parameters))
    database.transact(lambda connection: connection.execute(text("ANALYZE uploads, media")))
    return database


QUERIES: dict[str, tuple[Callable[[Connection], object], str]] = {
    "expire": (lambda c: cleaning_store.expire(c, BATCH), "ix_uploads_uncleaned"),
    "forgotten": (lambda c: cleaning_store.forgotten(c, START, BATCH), "ix_uploads_uncleaned"),
    "ended": (lambda c: cleaning_store.ended(c, START, BATCH), "ix_uploads_uncleaned"),
    "uncleaned": (
        lambda c: cleaning_store.uncleaned(c, [UUID(int=n) for n in range(BATCH)]),
        "ix_uploads_uncleaned",
    ),
    "never_sent": (lambda c: cleaning_store.never_sent(c, START, BATCH), "ix_media_pending"),
    "drop": (lambda c: cleaning_store.drop(c, START), "pk_media"),
    "half_deleted": (lambda c: cleaning_store.half_deleted(c, START, BATCH), "ix_media_hidden"),
    "forget": (lambda c: cleaning_store.forget(c, BATCH), "ix_uploads_cleaned_at"),
}


def test_every_query_goes_by_its_index_and_none_reads_a_whole_table(full: Database) -> None:
    plans = {name: plan_of(full, query) for name, (query, _) in QUERIES.items()}
    read_whole = {
        name: node["Relation Name"]
        for name, plan in plans.items()
        for node in plan
        if node["Node Type"] == "Seq Scan"
    }
    assert read_whole == {}
    indexes = {
        name: {node["Index Name"] for node in plan if "Index Name" in node}
        for name, plan in plans.items()
    }
    strayed = {name: indexes[name] for name, (_, by) in QUERIES.items() if by not in indexes[name]}
    assert strayed == {}
