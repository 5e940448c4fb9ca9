"""Woken every ten minutes: how many of the codes that were sent came back."""

from typing import Any

from fieldgate import request_id
from fieldgate.db.engine import database
from fieldgate.observability import logger, traced
from sms.pumping import watch


@traced
def handler(event: dict[str, Any], _context: object) -> None:
    logger().append_keys(request_id=request_id.adopt(event.get("id")))
    watch(database())
