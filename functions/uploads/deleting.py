"""Deleting a media: its row, its original, what was published of it, and what is on its way."""

from uuid import UUID

from sqlalchemy import Connection

from fieldgate import request_id
from fieldgate.db.engine import Database
from fieldgate.errors import NotFound
from fieldgate.storage import ObjectStorage
from uploads import staged_chunks, store, upload_store
from uploads.processing import variant_keys
from uploads.store import Media
from uploads.upload_store import Upload


def delete_media(
    database: Database,
    staging: ObjectStorage,
    originals: ObjectStorage,
    published: ObjectStorage,
    media_id: UUID,
    *,
    actor_id: UUID,
    owner_id: UUID | None,
) -> None:
    """Hide the media, delete its objects, then its row; `owner_id` None deletes anybody's.

    An upload that was to fill it is given up in the same moment as it is hidden. The row goes
    last: when storage fails in between, the caller gets an error, nobody sees the media any more,
    and the same call again takes up where this one stopped.

    Raises:
        NotFound: no such media, or another owner's.

    """
    actor, correlation_id = str(actor_id), request_id.current()

    def hide(connection: Connection) -> tuple[Upload | None, Media | None]:
        # In the order in which everybody locks the two.
        upload = upload_store.abort_of_media(connection, media_id, owner_id)
        return upload, store.hide(connection, media_id, owner_id)

    upload, media = database.transact(hide, actor=actor, request_id=correlation_id)
    if media is None:
        raise NotFound("There is no such media.")
    if upload is not None:
        staged_chunks.discard_at_once(staging, upload.id)
    originals.delete([media.object_key])
    published.delete(variant_keys(media.object_key))
    database.transact(
        lambda connection: store.remove(connection, media_id),
        actor=actor,
        request_id=correlation_id,
    )
