"""What admins set while the system runs, by the keys of the registry.

    width = configuration.value("IMAGE_MAX_WIDTH")

All of it is read at once and kept as `fieldgate.two_level_cache` keeps its region `configuration`:
a change is in force at once where it was made, and everywhere within a minute.

Reading never fails. While neither cache nor database can be asked, what this process read last is
in force, or else the registry's defaults; the log has a warning.
"""

import time
from typing import Any

from fieldgate import deadline, two_level_cache
from fieldgate.configuration.registry import REGISTRY, Setting, Value
from fieldgate.errors import ConfigurationError, Unavailable
from fieldgate.observability import logger
from fieldgate.settings import once

__all__ = ["REGION", "REGISTRY", "Setting", "Value", "value", "values"]

REGION = "configuration"
# The longest that the database is waited for, and how long it then is left alone.
DATABASE_SECONDS = 2
REST_SECONDS = 5


def value(key: str) -> Any:
    """Return what is in force for `key`, of its type in the registry."""
    return _in_force(REGISTRY[key], _reader().read())


def values() -> dict[str, Value]:
    """Return what is in force for all keys, at one moment."""
    stored = _reader().read()
    return {key: _in_force(setting, stored) for key, setting in REGISTRY.items()}


class _Reader:
    """What admins have set, by key, as far as it can be known."""

    def __init__(self) -> None:
        self._last_read: dict[str, Any] = {}
        self._rests_until = 0.0

    def read(self) -> dict[str, Any]:
        if time.monotonic() >= self._rests_until:
            try:
                self._last_read = two_level_cache.get(REGION, "active", _load)
            except (ConfigurationError, Unavailable) as error:
                self._rests_until = time.monotonic() + REST_SECONDS
                logger().warning(
                    "configuration can't be read; going by what was read last, or by defaults",
                    extra={"reason": str(error)},
                )
        return self._last_read


@once
def _reader() -> _Reader:
    return _Reader()


def _load() -> dict[str, Any]:
    """Read the values that are active.

    Raises:
        ConfigurationError, Unavailable: there is no database, or none that answers with them.

    """
    from sqlalchemy import select
    from sqlalchemy.exc import DBAPIError

    from fieldgate.db.engine import database
    from fieldgate.db.tables.configuration import configuration

    active = select(configuration.c.key, configuration.c.value).where(configuration.c.active)
    try:
        with deadline.within(min(DATABASE_SECONDS, deadline.seconds_left())):
            rows = database().read(lambda connection: connection.execute(active).all())
    except DBAPIError as error:
        # Code that is newer than the schema, say.
        raise Unavailable("The configuration can't be read.") from error
    return {row.key: row.value for row in rows}


def _in_force(setting: Setting, stored: dict[str, Any]) -> Value:
    if setting.key not in stored:
        return setting.default
    found: Value = stored[setting.key]
    if fault := setting.fault(found):
        # Set when the registry allowed it, or past our functions.
        _warn_unfit(setting.key, fault)
        return setting.default
    return found


@once
def _warn_unfit(key: str, fault: str) -> None:
    logger().warning(
        "configured value is of no use; going by the default",
        extra={"setting": key, "reason": fault},
    )
