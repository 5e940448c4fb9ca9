"""Announcing a change that no table of ours has: to everybody, or to whom one names."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from fieldgate.db.engine import Database, violated_constraint
from fieldgate.errors import ErrorDetail, Unauthorized, ValidationFailed
from fieldgate.http import ApiModel
from fieldgate.http.idempotency import IdempotentRequest
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
        if broadcast.audience and broadcast.audience.roles:
            _check_roles(connection, broadcast.audience.roles)
        broadcast_id = broadcast_store.add(
            connection,
            broadcast.entity_type,
            broadcast.entity_id,
            broadcast.action,
            broadcast.told(),
            created_by,
        )
        return BroadcastView(broadcast_id=broadcast_id)

    try:
        return request.transact(database, add, BroadcastView, actor=str(created_by))
    except IntegrityError as error:
        if not violated_constraint(error).endswith("_created_by_users"):
            raise
        raise Unauthorized("This account no longer exists.") from None


def _check_roles(connection: Connection, roles: Sequence[str]) -> None:
    known = broadcast_store.known_roles(connection, roles)
    details = [
        ErrorDetail(f"audience.roles.{place}", "is not a role")
        for place, role in enumerate(roles)
        if role not in known
    ]
    if details:
        raise ValidationFailed("The request is not valid.", details=details)
