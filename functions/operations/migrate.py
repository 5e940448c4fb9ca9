"""Brings the database's schema up to date: at each deployment, or invoked by hand with `{}`.

RUN_MIGRATIONS=false keeps deployments from it; by hand it always does.
"""

from dataclasses import asdict
from typing import Any

from fieldgate.db.migrate import migrate
from fieldgate.db.url import resolve_database_address
from fieldgate.error_reports import reported
from fieldgate.observability import logger
from fieldgate.settings import Settings, load
from operations import custom_resource


class MigrationSettings(Settings):
    run_migrations: bool = True


@reported
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    if "ResponseURL" not in event:
        return _migrate()
    custom_resource.answer(event, "schema", _migrate_in_deployment)
    return {}


def _migrate() -> dict[str, Any]:
    result = asdict(migrate(resolve_database_address))
    logger().info("schema is up to date", extra=result)
    return result


def _migrate_in_deployment() -> dict[str, str]:
    if not load(MigrationSettings).run_migrations:
        logger().info("migrations are left to whoever deploys")
        return {"skipped": "true"}
    return {name: str(value) for name, value in _migrate().items()}
