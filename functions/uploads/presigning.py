"""Letting a phone send a photo straight to storage (seed: WF-INTEG-01)."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from fieldgate import request_id
from fieldgate.db.engine import Database, violated_constraint
from fieldgate.errors import Unauthorized
from fieldgate.storage import ObjectStorage, PresignedRequest
from uploads import store
from uploads.file_rules import DeclaredPhoto, Folder
from uploads.store import Media

URL_LIFETIME = timedelta(minutes=60)


def presign_photo(
    database: Database,
    originals: ObjectStorage,
    owner_id: UUID,
    folder: Folder,
    photo: DeclaredPhoto,
    sha256: bytes | None,
) -> tuple[Media, PresignedRequest]:
    """Add a pending media and sign the one request that may fill it.

    The signature binds length, type and, when given, the SHA-256 digest: storage refuses a PUT
    that differs in any of them. The client's file name is kept as information only; the object
    is named by us, `{folder}/{media id}{extension}`. One transaction.

    Raises:
        Unauthorized: there is no such user (any more).

    """
    try:
        media = database.transact(
            lambda connection: store.add_photo(
                connection, owner_id, folder, photo, sha256.hex() if sha256 else None
            ),
            actor=str(owner_id),
            request_id=request_id.current(),
        )
    except IntegrityError as error:
        if violated_constraint(error) != "fk_media_owner_id_users":
            raise
        # The token outlived its user: the row would have no owner.
        raise Unauthorized("This account no longer exists.") from None
    presigned = originals.presign_put(
        media.object_key,
        content_type=photo.content_type,
        content_length=photo.size,
        sha256=sha256,
        expires_in=URL_LIFETIME,
    )
    return media, presigned
