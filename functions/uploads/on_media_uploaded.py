"""Woken by the queue that S3 tells of new originals: makes a photo's finished variants."""

from typing import Any

from fieldgate.db.engine import database
from fieldgate.observability import observed
from fieldgate.queues import consume
from fieldgate.storage import originals, published
from uploads.processing import process_upload, uploaded_keys


@observed
def handler(event: dict[str, Any], context: object) -> dict[str, list[dict[str, str]]]:
    return consume(event, context, _process)


def _process(notification: str) -> None:
    for object_key in uploaded_keys(notification):
        process_upload(database(), originals(), published(), object_key)
