"""Woken by the queue of texts: hands each to the provider."""

from typing import Any

from fieldgate.db.engine import database
from fieldgate.observability import observed
from fieldgate.queues import consume
from fieldgate.sms.sending import sending
from sms.delivering import deliver


@observed
def handler(event: dict[str, Any], context: object) -> dict[str, list[dict[str, str]]]:
    return consume(event, context, _deliver)


def _deliver(body: str) -> None:
    deliver(database(), sending(), body)
