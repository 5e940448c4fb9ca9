"""Setting a key of the configuration, and taking it back. Each makes a version of its own.

What was set is in force at once where that happened, and everywhere within a minute
(fieldgate.two_level_cache). That is also said of what may not have been saved: it does no harm.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from sqlalchemy import Connection

from configuration import store
from configuration.store import Past, Stored
from configuration.views import SettingView
from fieldgate import request_id, two_level_cache
from fieldgate.configuration import REGION, REGISTRY, Setting, Value
from fieldgate.db.engine import Database
from fieldgate.errors import BusinessRule, Conflict, ErrorDetail, NotFound, ValidationFailed
from fieldgate.http.idempotency import IdempotentRequest


def known(key: str) -> Setting:
    """Return what the registry says of `key`; raises NotFound when it says nothing."""
    if key not in REGISTRY:
        raise NotFound("There is no such key.")
    return REGISTRY[key]


def put(database: Database, key: str, value: Value, *, active: bool, actor: UUID) -> SettingView:
    """Set a key. One that isn't active keeps its value, and the registry's default is in force.

    Raises:
        NotFound: there is no such key.
        ValidationFailed: the value is none for it.

    """
    setting = known(key)
    if fault := setting.fault(value):
        details = [ErrorDetail("value", fault)]
        raise ValidationFailed("The request is not valid.", details=details)
    with _renewed():
        stored = database.transact(
            lambda connection: store.put(connection, key, value, active=active),
            actor=str(actor),
            request_id=request_id.current(),
        )
    return SettingView.of(setting, stored)


def roll_back(
    request: IdempotentRequest, database: Database, key: str, version: int | None, *, actor: UUID
) -> SettingView:
    """Set a key to what it was in `version`, or else in the one before the latest.

    Before the first one that was set there is version 0, the registry's default.

    Raises:
        NotFound: there is no such key, or no such version of it.
        Conflict: it was never set, or somebody has set it just now.
        BusinessRule: the registry doesn't allow that value any more.

    """
    setting = known(key)

    def take_back(connection: Connection) -> SettingView:
        seen = store.find(connection, key)
        past = _past(connection, seen, key, version)
        if past.active and (fault := setting.fault(past.value)):
            raise BusinessRule(
                "That value is not allowed any more.", details=[ErrorDetail("value", fault)]
            )
        if version is not None or seen is None:
            stored = store.put(connection, key, past.value, active=past.active)
        elif (taken_back := store.put_after(connection, seen, past)) is not None:
            stored = taken_back
        else:
            raise Conflict("This key was set just now. Please look at it again.")
        return SettingView.of(setting, stored)

    with _renewed():
        return request.transact(database, take_back, SettingView, actor=str(actor))


def _past(connection: Connection, seen: Stored | None, key: str, version: int | None) -> Past:
    wanted = seen.version - 1 if version is None and seen else version
    if not wanted:
        if seen is None:
            raise Conflict("This key has its default; there is nothing to go back to.")
        return Past(0, seen.value, active=False, actor=None, at=seen.updated_at)
    past = store.find_past(connection, key, wanted)
    if past is None:
        raise NotFound("There is no such version of this key.")
    return past


@contextmanager
def _renewed() -> Iterator[None]:
    """Have what is kept of the configuration used no more, once the block is left in any way."""
    try:
        yield
    finally:
        two_level_cache.renew(REGION)
