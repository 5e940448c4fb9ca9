"""Woken by CloudWatch Logs: errors and exceptions are copied to where they are kept for longer.

Its own log has no subscription, so that it never hears of itself.
"""

from typing import Any

from fieldgate.observability import observed
from fieldgate.settings import load
from operations.kept_logs import KeptLogsSettings, keep
from operations.log_lines import read


@observed
def handler(event: dict[str, Any], _context: object) -> dict[str, int]:
    delivery = read(event)
    return keep(delivery, load(KeptLogsSettings)) if delivery else {}
