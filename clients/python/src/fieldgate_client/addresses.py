"""Which addresses are this very machine, and which show what is sent to everybody on the way."""

import ipaddress
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Whether a host, as a URL names it, is this very machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_open_to_all(url: str) -> bool:
    """Whether whoever is on the way can read along: http://, unless to this very machine."""
    address = urlsplit(url)
    return address.scheme == "http" and not is_loopback(address.hostname or "")
