"""Woken every ten minutes: removes what uploads leave behind, and finds those forgotten."""

from functools import partial
from typing import Any

from fieldgate.db.engine import Database, database
from fieldgate.observability import observed
from fieldgate.queues import send_batch
from fieldgate.schedules import STORAGE_RESERVE_SECONDS, round_alone
from fieldgate.storage import originals, published, staging
from uploads.assembling import Places
from uploads.assembly_queue import assembly_queue_url
from uploads.cleaning import clean_up
from uploads.processing import announce, media_queue_url


@observed
def handler(event: dict[str, Any], context: Any) -> dict[str, int] | None:
    return round_alone(
        "cleanup_uploads",
        event,
        context,
        database(),
        _clean_up,
        reserve_seconds=STORAGE_RESERVE_SECONDS,
    )


def _clean_up(database: Database) -> dict[str, int]:
    announce_there = partial(announce, media_queue_url())
    places = Places(database, staging(), originals(), published(), announce_there)
    return clean_up(places, partial(send_batch, assembly_queue_url()))
