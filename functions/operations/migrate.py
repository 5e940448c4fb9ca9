"""Brings the database's schema up to date: at each deployment, or invoked by hand with `{}`."""

from dataclasses import asdict
from typing import Any

from fieldgate.db.migrate import migrate
from fieldgate.db.url import resolve_database_address
from fieldgate.observability import logger
from operations import custom_resource


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    if "ResponseURL" not in event:
        return _migrate()
    custom_resource.answer(event, "schema", _as_attributes)
    return {}


def _migrate() -> dict[str, Any]:
    result = asdict(migrate(resolve_database_address))
    logger().info("schema is up to date", extra=result)
    return result


def _as_attributes() -> dict[str, str]:
    return {name: str(value) for name, value in _migrate().items()}
