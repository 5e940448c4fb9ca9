"""Letting a phone send a photo straight to storage."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from fieldgate.db.engine import Database
from fieldgate.errors import Gone
from fieldgate.http.idempotency import IdempotentRequest
from fieldgate.storage import ObjectStorage
from uploads import store
from uploads.file_rules import DeclaredFile, Folder
from uploads.ownership import owner_needed
from uploads.store import Media
from uploads.views import PresignedUpload

URL_LIFETIME = timedelta(minutes=60)


def presign_photo(
    request: IdempotentRequest,
    database: Database,
    originals: ObjectStorage,
    owner_id: UUID,
    folder: Folder,
    photo: DeclaredFile,
    sha256: bytes | None,
) -> PresignedUpload:
    """Add a pending media and sign the one request that may fill it.

    The signature binds length, type and, when given, the SHA-256 digest: storage refuses a PUT
    that differs in any of them. The client's file name is kept as information only; the object
    is named by us, `{folder}/{media id}{extension}`. One transaction.

    Repeated with the same key, the answer is the first one, and once its URL is too old the same
    media's with a new URL: one more read.

    Raises:
        Unauthorized: there is no such user (any more).
        Gone: it is repeated, and the media was deleted meanwhile.

    """

    def sign(media: Media) -> PresignedUpload:
        # Nothing is asked of storage for this: the transaction waits for nobody.
        signed = originals.presign_put(
            media.object_key,
            content_type=photo.content_type,
            content_length=photo.size,
            sha256=sha256,
            expires_in=URL_LIFETIME,
        )
        return PresignedUpload.of(media, signed)

    def add(connection: Connection) -> PresignedUpload:
        digest = sha256.hex() if sha256 else None
        return sign(store.add_media(connection, owner_id, folder, photo, digest))

    with owner_needed():
        answer = request.transact(database, add, PresignedUpload, actor=str(owner_id))
    if answer.expires_at > datetime.now(UTC):
        return answer
    media = database.read(lambda connection: store.find(connection, answer.media_id, owner_id))
    if media is None:
        raise Gone("This media was deleted.")
    return sign(media)
