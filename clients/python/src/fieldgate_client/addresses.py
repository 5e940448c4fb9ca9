"""Which addresses are this very machine, which show what is sent to everybody on the way, and
where changes are told.
"""  # noqa: D205 one sentence

import ipaddress
from urllib.parse import urlsplit, urlunsplit

HUB = "/hubs/permissions"


def is_loopback(host: str) -> bool:
    """Whether a host, as a URL names it, is this very machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def realtime_url(server: str) -> str:
    """Return where the server at this URL tells of changes (contract, "Realtime")."""
    address = urlsplit(server)
    scheme = "ws" if address.scheme == "http" else "wss"
    return urlunsplit((scheme, address.netloc, f"{address.path.rstrip('/')}{HUB}", "", ""))


def is_open_to_all(url: str) -> bool:
    """Whether whoever is on the way can read along: http://, unless to this very machine."""
    address = urlsplit(url)
    return address.scheme == "http" and not is_loopback(address.hostname or "")
