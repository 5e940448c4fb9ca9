"""From which network address a request came."""

import hmac
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from fastapi import Request

from fieldgate.errors import Unavailable
from fieldgate.observability import logger
from fieldgate.settings import lookup

# What the CloudFront distribution of template.yaml adds to each request.
EDGE_KEY_HEADER = "x-edge-key"


def client_ip(request: Request) -> str:
    """Return the address that API Gateway saw, IPv6 as the /64 that one customer is given.

    Never what a header says, which is the client's to write; unless the request carries the key
    that CloudFront adds (`EDGE_KEY`), to which the gateway sees CloudFront's own address.
    """
    event = request.scope.get("aws.event", {})
    seen = event.get("requestContext", {}).get("http", {}).get("sourceIp", "")
    try:
        address = ip_address(_seen_by_cloudfront(event) or seen)
    except ValueError:
        return "unknown"
    if isinstance(address, IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped or ip_network((int(address) >> 64 << 64, 64)))
    return str(address)


def _seen_by_cloudfront(event: dict[str, Any]) -> str | None:
    headers = event.get("headers") or {}
    shown = headers.get(EDGE_KEY_HEADER)
    if not shown:
        return None
    try:
        key = lookup("EDGE_KEY")
    except Unavailable:
        logger().warning("edge key can't be read: limits go by CloudFront's addresses")
        return None
    if not key or not hmac.compare_digest(shown.encode(), key.strip().encode()):
        return None
    # Each adds at the end whom it got the request from: CloudFront the client, then the gateway
    # CloudFront.
    hops = [hop.strip() for hop in headers.get("x-forwarded-for", "").split(",")]
    return hops[-2] if len(hops) > 1 else None
