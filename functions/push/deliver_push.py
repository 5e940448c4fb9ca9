"""Woken when pushes are due, and every minute: hands them to the provider."""

from typing import Any

from fieldgate.circuit_breaker import CircuitBreaker
from fieldgate.db.engine import database
from fieldgate.observability import observed
from fieldgate.push.notifying import DUE, wake_pushers
from fieldgate.push.sending import pusher
from fieldgate.queues import RESERVE_SECONDS, PoisonMessage, consume
from fieldgate.schedules import one_round
from fieldgate.settings import once
from push.delivering import deliver


@observed
def handler(event: dict[str, Any], context: Any) -> dict[str, list[dict[str, str]]] | None:
    if "Records" not in event:
        with one_round(event, context, RESERVE_SECONDS):
            _deliver()
        return None
    return consume(event, context, _on_message)


def _on_message(body: str) -> None:
    if body != DUE:
        raise PoisonMessage("no wake-up")
    _deliver()


def _deliver() -> None:
    deliver(database(), pusher(), breaker(), wake_pushers)


@once
def breaker() -> CircuitBreaker:
    return CircuitBreaker("fcm")
