"""Waking the relay, which tells phones what changed, and ends the connections of ended sessions.

It looks by itself every minute, so a word that gets lost only delays.
"""

from fieldgate import queues
from fieldgate.errors import Unavailable
from fieldgate.observability import logger
from fieldgate.settings import Settings, load

NEWS = "changes"


class RelaySettings(Settings):
    """Where the relay listens; empty where nobody is to be woken, as in a script."""

    relay_queue_url: str = ""


def wake() -> None:
    """Say that the change log recorded something; to be called after the commit. Never raises."""
    queue_url = load(RelaySettings).relay_queue_url
    if not queue_url:
        return
    try:
        queues.send(queue_url, NEWS)
    except Unavailable:
        logger().warning("relay not woken; it looks by itself within a minute")
