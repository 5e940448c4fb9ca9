"""The schema as SQLAlchemy Core tables, one module a domain, all on one `METADATA`.

It mirrors what the migrations make (a test compares them); triggers are in the migrations only.
Ids are version 7 uuids made by the server, so they sort by the time they were made; times are UTC.
"""

from fieldgate.db.tables.base import METADATA
from fieldgate.db.tables.change_log import change_log, outbox
from fieldgate.db.tables.identity import permissions, role_permissions, roles, user_roles, users
from fieldgate.db.tables.media import media

__all__ = [
    "METADATA",
    "change_log",
    "media",
    "outbox",
    "permissions",
    "role_permissions",
    "roles",
    "user_roles",
    "users",
]
