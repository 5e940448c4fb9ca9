"""Which phones are whose: an app says so whenever it starts, and when its token changes."""

from uuid import UUID

from sqlalchemy import Connection

from fieldgate import request_id
from fieldgate.db.engine import Database
from fieldgate.errors import NotFound, Unauthorized
from fieldgate.http import RequestModel
from fieldgate.push import AddressKind, Platform
from push import device_store
from push.device_tokens import encrypt_token, hash_token
from push.request_types import AppVersion, DeviceToken


class NewDevice(RequestModel):
    """An installed app, and what the provider knows it by."""

    token: DeviceToken
    platform: Platform
    app_version: AppVersion | None = None
    kind: AddressKind = "token"


def register(database: Database, user_id: UUID, session_id: UUID, device: NewDevice) -> UUID:
    """Make a device this user's, for as long as this session lasts; return its id.

    Whose it was before has it no more: a phone is pushed what is for who uses it.

    Raises:
        Unauthorized: the session has ended.

    """
    values = {
        "user_id": user_id,
        "session_id": session_id,
        "token_hash": hash_token(device.token),
        "token": encrypt_token(device.token),
        "kind": device.kind,
        "platform": device.platform,
        "app_version": device.app_version,
    }

    def work(connection: Connection) -> UUID:
        registered = device_store.register(connection, values)
        if registered is None:
            raise Unauthorized("The session has ended.")
        if registered.is_new:
            device_store.remove_surplus(connection, user_id, kept=registered.id)
        return registered.id

    return database.transact(work, actor=str(user_id), request_id=request_id.current())


def remove(database: Database, user_id: UUID, device_id: UUID) -> None:
    """Push nothing to a user's device any more; the app may register it again.

    Raises:
        NotFound: no such device, or another's.

    """
    removed = database.transact(
        lambda connection: device_store.remove(connection, device_id, user_id),
        actor=str(user_id),
        request_id=request_id.current(),
    )
    if not removed:
        raise NotFound("There is no such device.")
