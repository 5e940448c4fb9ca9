"""Waking the relay, which tells phones what changed.

It looks by itself every minute, so a word that gets lost only delays.
"""

from typing import Literal

from fieldgate import queues
from fieldgate.config import Settings, load
from fieldgate.errors import Unavailable
from fieldgate.observability import logger

type News = Literal["changes", "sessions"]
"""`changes` were recorded; `sessions` ended, so that their connections are to be closed."""


class RelaySettings(Settings):
    """Where the relay listens; empty where nobody is to be woken, as in a script."""

    relay_queue_url: str = ""


def wake(news: News) -> None:
    """Say that there is something to be told; to be called after the commit. Never raises."""
    queue_url = load(RelaySettings).relay_queue_url
    if not queue_url:
        return
    try:
        queues.send(queue_url, news)
    except Unavailable:
        logger().warning("relay not woken; it looks by itself within a minute")


def wake_for_changes() -> None:
    """What a `Database` does after a commit that the change log recorded something of."""
    wake("changes")
