"""Which environments agents may work on: ours, encrypted, and never production."""

import httpx

from tools.smoke_settings import Misuse, address

SECONDS = 30.0


def checked(url: str, realtime_url: str = "") -> tuple[str, str]:
    """Return both addresses, without a slash at their end, once the first was asked who it is.

    Only then is anybody told credentials. What agents send stays where they work.

    Raises:
        SystemExit: it is no such environment, said plainly.

    """
    try:
        url = address("BASE_URL", url, "https", "http")
        if realtime_url:
            realtime_url = address("REALTIME_URL", realtime_url, "wss", "ws", path=True)
        found = httpx.get(f"{url}/health/version", timeout=SECONDS).json()
        environment = found.get("environment")
    except Misuse as misuse:
        raise SystemExit(str(misuse)) from None
    except (httpx.HTTPError, ValueError, AttributeError) as error:
        raise SystemExit(f"{url} does not say which environment it is: {error}") from None
    if not environment or environment == "production":
        raise SystemExit(f"{url} is {environment or 'none of ours'}: agents don't work there.")
    return url, realtime_url
