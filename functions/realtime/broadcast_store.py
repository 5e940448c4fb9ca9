"""Every query about broadcasts."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import Connection, insert

from fieldgate.db.tables.realtime import realtime_broadcasts


def add(
    connection: Connection,
    entity_type: str,
    entity_id: str,
    action: str,
    told: Collection[str],
    created_by: UUID,
) -> UUID:
    """Store a broadcast, which the relay then announces; return its id."""
    row = {
        "entity_type": entity_type,
        "entity_id": entity_id,
        "action": action,
        "audiences": list(told),
        "created_by": created_by,
    }
    statement = insert(realtime_broadcasts).values(row).returning(realtime_broadcasts.c.id)
    broadcast_id: UUID = connection.scalars(statement).one()
    return broadcast_id
