"""Whether a request gets through, or to a captive portal that answers in the server's place.

The probe is a URL that answers 204 No Content. A portal answers with its page (200), a redirect to
it or 511; so redirects are never followed, and no answer's body is ever read.
"""

import asyncio
from collections.abc import Sequence
from enum import StrEnum

import httpx

PROBE_SECONDS = 5.0  # ours: a phone's network that takes longer isn't one to send files over
NETWORK_AUTHENTICATION_REQUIRED = 511  # RFC 6585, made for captive portals


class Reach(StrEnum):
    """How far a request gets."""

    OFFLINE = "offline"
    CAPTIVE = "captive"
    ONLINE = "online"


async def probe(
    urls: Sequence[str],
    transport: httpx.AsyncBaseTransport | None = None,
    seconds: float = PROBE_SECONDS,
) -> Reach:
    """Ask each URL until one says clearly where we are; if none does, we are offline."""
    # A client for each check: no cookie of a portal's, no connection of the network before.
    async with httpx.AsyncClient(
        transport=transport, timeout=seconds, follow_redirects=False
    ) as client:
        for url in urls:
            status = await _status(client, url, seconds)
            if status == httpx.codes.NO_CONTENT:
                return Reach.ONLINE
            if status is not None and _is_portal(url, status):
                return Reach.CAPTIVE
    return Reach.OFFLINE


def _is_portal(url: str, status: int) -> bool:
    """Whether this answer to a probe is a captive portal's.

    Over https it never is: a portal has no certificate for the name, so whatever answered is the
    server. Its 404, 429 or 503 says nothing about the network either.
    """
    return not url.startswith("https:") and (
        status < httpx.codes.BAD_REQUEST or status == NETWORK_AUTHENTICATION_REQUIRED
    )


async def _status(client: httpx.AsyncClient, url: str, seconds: float) -> int | None:
    """Return the status that a probe is answered with, None if nothing came in time.

    HEAD, since a login page may be large; then GET, as some servers and proxies don't take HEAD
    (405) or drop it. Where HEAD ran into its time limit, GET is not worth another.
    """
    try:
        status = await _ask(client, "HEAD", url, seconds)
        if status == httpx.codes.NO_CONTENT:
            return status
    except (httpx.TimeoutException, httpx.ConnectError, TimeoutError):
        return None
    except httpx.HTTPError:
        pass
    try:
        return await _ask(client, "GET", url, seconds)
    except (httpx.HTTPError, TimeoutError):
        return None


async def _ask(client: httpx.AsyncClient, method: str, url: str, seconds: float) -> int:
    # httpx limits each read by itself; a portal that drips its answer would take for ever.
    async with asyncio.timeout(seconds), client.stream(method, url) as answer:
        return answer.status_code  # the body, a portal's whole login page, is never read
