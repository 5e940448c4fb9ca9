"""Announcing a change that no table of ours has: to everybody, or to whom one names."""

from uuid import UUID

from sqlalchemy import Connection

from fieldgate.db.engine import Database
from fieldgate.db.known_caller import a_known_caller
from fieldgate.http import ApiModel
from fieldgate.http.idempotency import IdempotentRequest
from fieldgate.roles import check_roles
from realtime import broadcast_store
from realtime.request_types import Broadcast


class BroadcastView(ApiModel):
    """It is on its way once this is answered: what announces it follows the commit."""

    broadcast_id: UUID


def announce(
    request: IdempotentRequest, database: Database, created_by: UUID, broadcast: Broadcast
) -> BroadcastView:
    """Store a broadcast for the relay, once a request.

    Raises:
        ValidationFailed: it is for a role that there isn't.
        Unauthorized: `created_by` is no user (any more).

    """

    def add(connection: Connection) -> BroadcastView:
        if broadcast.audience:
            check_roles(connection, broadcast.audience.roles, "audience.roles")
        broadcast_id = broadcast_store.add(
            connection,
            broadcast.entity_type,
            broadcast.entity_id,
            broadcast.action,
            broadcast.told(),
            created_by,
        )
        return BroadcastView(broadcast_id=broadcast_id)

    with a_known_caller():
        return request.transact(database, add, BroadcastView, actor=str(created_by))
