"""Woken by the queue of complete uploads: puts the chunks of each together."""

from functools import partial
from typing import Any

from fieldgate.db.engine import database
from fieldgate.observability import observed
from fieldgate.queues import consume
from fieldgate.storage import originals, published, staging
from uploads.assembling import Places, assemble
from uploads.processing import announce, media_queue_url


@observed
def handler(event: dict[str, Any], context: object) -> dict[str, list[dict[str, str]]]:
    return consume(event, context, _assemble)


def _assemble(message: str) -> None:
    announce_there = partial(announce, media_queue_url())
    places = Places(database(), staging(), originals(), published(), announce_there)
    assemble(places, message)
