"""One way to answer HTTP: the app factory and what its routes are written with."""

from fieldgate.http.address import client_ip
from fieldgate.http.app import create_app, entry_point
from fieldgate.http.caller import Caller, current_caller, require
from fieldgate.http.envelope import (
    ApiModel,
    Envelope,
    Page,
    PageQuery,
    RequestModel,
    envelope,
    page,
)
from fieldgate.http.limits import limit_identifier

__all__ = [
    "ApiModel",
    "Caller",
    "Envelope",
    "Page",
    "PageQuery",
    "RequestModel",
    "client_ip",
    "create_app",
    "current_caller",
    "entry_point",
    "envelope",
    "limit_identifier",
    "page",
    "require",
]
