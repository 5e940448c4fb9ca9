"""Every table, for what looks at the schema as a whole: no function imports this."""

from fieldgate.db.tables.base import METADATA
from fieldgate.db.tables.change_log import change_log, outbox
from fieldgate.db.tables.configuration import configuration
from fieldgate.db.tables.identity import permissions, role_permissions, roles, user_roles, users
from fieldgate.db.tables.media import media
from fieldgate.db.tables.one_time_codes import (
    otp_challenges,
    otp_counters,
    otp_phones,
    registrations,
    sms_messages,
)
from fieldgate.db.tables.push import (
    devices,
    notification_preferences,
    notification_recipients,
    notifications,
)
from fieldgate.db.tables.realtime import (
    realtime_broadcasts,
    realtime_connections,
    realtime_events,
    realtime_stream,
)
from fieldgate.db.tables.requests import idempotency_keys, rate_limits
from fieldgate.db.tables.schedules import schedule_leases
from fieldgate.db.tables.sessions import sessions
from fieldgate.db.tables.stock import stock_alerts, stock_losses, stock_lots, warehouses
from fieldgate.db.tables.uploads import uploads

__all__ = [
    "METADATA",
    "change_log",
    "configuration",
    "devices",
    "idempotency_keys",
    "media",
    "notification_preferences",
    "notification_recipients",
    "notifications",
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
    "schedule_leases",
    "sessions",
    "sms_messages",
    "stock_alerts",
    "stock_losses",
    "stock_lots",
    "uploads",
    "user_roles",
    "users",
    "warehouses",
]
