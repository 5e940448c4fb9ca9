"""Deleting a media: its row, its original and what was published of it."""

from uuid import UUID

from fieldgate import request_id
from fieldgate.db.engine import Database
from fieldgate.errors import NotFound
from fieldgate.storage import ObjectStorage
from uploads import store
from uploads.processing import variant_keys


def delete_media(
    database: Database,
    originals: ObjectStorage,
    published: ObjectStorage,
    media_id: UUID,
    *,
    actor_id: UUID,
    owner_id: UUID | None,
) -> None:
    """Hide the media, delete its objects, then its row; `owner_id` None deletes anybody's.

    The row goes last: when storage fails in between, the caller gets an error, nobody sees the
    media any more, and the same call again takes up where this one stopped.

    Raises:
        NotFound: no such media, or another owner's.

    """
    actor, correlation_id = str(actor_id), request_id.current()
    media = database.transact(
        lambda connection: store.hide(connection, media_id, owner_id),
        actor=actor,
        request_id=correlation_id,
    )
    if media is None:
        raise NotFound("There is no such media.")
    originals.delete([media.object_key])
    published.delete(variant_keys(media.object_key))
    database.transact(
        lambda connection: store.remove(connection, media_id),
        actor=actor,
        request_id=correlation_id,
    )
