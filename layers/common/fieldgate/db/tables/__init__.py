"""The schema as SQLAlchemy Core tables, one module a domain, all on one `METADATA`.

It mirrors what the migrations make (a test compares them); triggers are in the migrations only.
Ids are version 7 uuids made by the server, so they sort by the time they were made; times are UTC.
"""

from fieldgate.db.tables.base import METADATA
from fieldgate.db.tables.change_log import change_log, outbox
from fieldgate.db.tables.identity import permissions, role_permissions, roles, user_roles, users
from fieldgate.db.tables.media import media
from fieldgate.db.tables.one_time_codes import (
    otp_challenges,
    otp_counters,
    otp_phones,
    registrations,
    sms_messages,
)
from fieldgate.db.tables.realtime import (
    realtime_broadcasts,
    realtime_connections,
    realtime_events,
    realtime_stream,
)
from fieldgate.db.tables.requests import idempotency_keys, rate_limits
from fieldgate.db.tables.sessions import sessions
from fieldgate.db.tables.uploads import uploads

__all__ = [
    "METADATA",
    "change_log",
    "idempotency_keys",
    "media",
    "otp_challenges",
    "otp_counters",
    "otp_phones",
    "outbox",
    "permissions",
    "rate_limits",
    "realtime_broadcasts",
    "realtime_connections",
    "realtime_events",
    "realtime_stream",
    "registrations",
    "role_permissions",
    "roles",
    "sessions",
    "sms_messages",
    "uploads",
    "user_roles",
    "users",
]
