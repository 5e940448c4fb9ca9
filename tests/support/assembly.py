"""Uploads whose chunks wait to be put together, and runs at it that end where a test wants.

    upload = yard.send(content)
    yard.assemble(upload)
    assert yard.row(upload)["state"] == "completed"

Chunks are put straight into storage, past the requests that would sign them.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

from moto.backends import get_backend
from moto.core.models import DEFAULT_ACCOUNT_ID
from sqlalchemy import delete, func, select, update

from fieldgate.db.engine import Database
from fieldgate.db.tables.all import media, uploads
from fieldgate.storage.s3 import S3Storage
from tests.support.media import row_of
from tests.support.s3 import MEDIA, ORIGINALS, STAGING, LocalS3
from uploads import upload_store
from uploads.assembling import Places, assemble
from uploads.assembly_store import LEASE, Claim, claim
from uploads.file_rules import DOCUMENT_TYPES, PHOTO_TYPES, Folder, check_file
from uploads.processing import process_upload
from uploads.staged_chunks import key_of
from uploads.upload_store import Upload

MIB = 1024**2


@dataclass
class Yard:
    """`announced` are the originals that somebody was told to process."""

    database: Database
    s3: LocalS3
    staging: S3Storage
    originals: S3Storage
    published: S3Storage
    owner_id: UUID
    announced: list[str] = field(default_factory=list)

    @property
    def places(self) -> Places:
        return Places(
            self.database, self.staging, self.originals, self.published, self.announced.append
        )

    def begin(
        self,
        content: bytes,
        *,
        filename: str = "notes.txt",
        chunk_size: int = 512 * 1024,
        sha256: str | None = None,
        **values: Any,
    ) -> Upload:
        """Add an upload of the type that `filename` says, with `values` in its row."""
        extension = filename[filename.rindex(".") :]
        kind = (PHOTO_TYPES | DOCUMENT_TYPES)[extension]
        file = check_file(filename, kind, max(1, len(content)))
        upload = self.database.transact(
            lambda c: upload_store.add(c, self.owner_id, Folder.FARMERS, file, sha256, chunk_size)
        )
        signed = {"state": "uploading", "last_signed_at": func.now()}
        self.change(upload, **(signed | values))
        return upload

    def put(self, upload: Upload, number: int, content: bytes) -> str:
        """Store a chunk under its right name; return that."""
        key = key_of(upload.id, number, hashlib.sha256(content).digest())
        self.store(key, content)
        return key

    def store(self, key: str, content: bytes) -> None:
        self.staging.put(key, content, content_type="x/y", cache_control="private")

    def put_all(self, upload: Upload, content: bytes) -> None:
        for number in range(1, upload.chunk_count + 1):
            self.put(upload, number, chunk(upload, content, number))

    def send(self, content: bytes, **announced: Any) -> Upload:
        """Bring an upload to where its assembly is asked for."""
        upload = self.begin(content, **announced)
        self.put_all(upload, content)
        self.change(upload, state="assembling")
        return upload

    def assemble(self, upload: Upload, **other: Any) -> None:
        """Do as the queue has it done; `other` are places that are not the usual ones."""
        assemble(replace(self.places, **other), str(upload.id))

    def resume(self, upload: Upload) -> None:
        resumed = self.database.transact(lambda c: upload_store.resume(c, upload.id, None))
        assert resumed is not None

    def claim(self, upload: Upload, database: Database | None = None) -> Claim | None:
        return (database or self.database).transact(lambda c: claim(c, upload.id))

    def backdate(self, key: str, by: timedelta = timedelta(minutes=5)) -> None:
        """Let a chunk have arrived earlier: storage tells times by the second."""
        found = get_backend("s3")[DEFAULT_ACCOUNT_ID]["aws"].buckets[STAGING].keys[key]
        found.last_modified -= by

    def close(self, upload: Upload) -> None:
        """Complete it as a phone does whose chunks are all there."""
        closed = self.database.transact(lambda c: upload_store.begin_assembly(c, upload.id))
        assert closed is not None

    def abort(self, upload: Upload, database: Database | None = None) -> None:
        aborted = (database or self.database).transact(
            lambda c: upload_store.abort(c, upload.id, None)
        )
        assert aborted is not None

    def change(self, upload: Upload, **values: Any) -> None:
        """Write into the upload's row what a test needs to be there."""
        statement = update(uploads).where(uploads.c.id == upload.id).values(values)
        self.database.transact(lambda connection: connection.execute(statement))

    def change_media(self, upload: Upload, **values: Any) -> None:
        statement = update(media).where(media.c.id == upload.media_id).values(values)
        self.database.transact(lambda connection: connection.execute(statement))

    def forget(self, upload: Upload) -> None:
        statement = delete(uploads).where(uploads.c.id == upload.id)
        self.database.transact(lambda connection: connection.execute(statement))

    def end_lease(self, upload: Upload) -> None:
        self.change(upload, assembling_since=func.now() - LEASE - timedelta(seconds=1))

    def row(self, upload: Upload) -> dict[str, Any]:
        statement = select(uploads).where(uploads.c.id == upload.id)
        row = self.database.read(lambda connection: connection.execute(statement).mappings().one())
        return dict(row)

    def media(self, upload: Upload) -> dict[str, Any] | None:
        return row_of(self.database, upload.media_id)

    def media_by_id(self, media_id: UUID) -> dict[str, Any]:
        found = row_of(self.database, media_id)
        assert found is not None
        return found

    def states(self, upload: Upload) -> tuple[str, str | None, str | None]:
        """Return the upload's state, why it failed, and the state of its media."""
        row, found = self.row(upload), self.media(upload)
        return row["state"], row["failure_reason"], found["state"] if found else None

    def remove_media(self, upload: Upload) -> None:
        statement = delete(media).where(media.c.id == upload.media_id)
        self.database.transact(lambda connection: connection.execute(statement))

    def process(self, upload: Upload) -> None:
        process_upload(self.database, self.originals, self.published, upload.object_key)

    def variants(self) -> dict[str, bytes]:
        return self.s3.stored(MEDIA)

    def made(self) -> dict[str, bytes]:
        return self.s3.stored(ORIGINALS)

    def staged(self) -> dict[str, bytes]:
        return self.s3.stored(STAGING)

    def unfinished(self) -> list[str]:
        return [parts.multipart_id for parts in self.originals.unfinished_parts()]


def some_text(size: int) -> bytes:
    """Return text in which no two chunks are alike."""
    return b"".join(b"%015d\n" % number for number in range(size // 16 + 1))[:size]


def chunk(upload: Upload, content: bytes, number: int) -> bytes:
    return content[(number - 1) * upload.chunk_size :][: upload.chunk_length(number)]


class Killed(BaseException):
    """The environment ended here: nothing of ours gets to see it."""


def _kill() -> None:
    raise Killed


class Life:
    """A run's calls to what is outside of it, and what happens (`end`) at one of them.

    `ends_at` counts from 1; `before` says whether it happens before or after that call is made.
    """

    def __init__(self, ends_at: int | None = None, *, before: bool = True) -> None:
        self.calls: list[str] = []
        self.end: Callable[[], None] = _kill
        self._ends_at = ends_at
        self._before = before

    def of[T](self, place: T) -> T:
        """Return `place` as the run sees it."""
        return cast("T", _Watched(place, self))

    def call(self, name: str, function: Callable[..., Any], *args: Any, **named: Any) -> Any:
        self.calls.append(name)
        is_last = len(self.calls) == self._ends_at
        if is_last and self._before:
            self.end()
        result = function(*args, **named)
        if isinstance(result, Iterator):
            result = iter(list(result))
        if is_last and not self._before:
            self.end()
        return result

    def places(self, places: Places) -> Places:
        return Places(
            self.of(places.database),
            self.of(places.staging),
            self.of(places.originals),
            self.of(places.published),
            lambda key: self.call("announce", places.announce, key),
        )


class _Watched:
    def __init__(self, place: Any, life: Life) -> None:
        self._place, self._life = place, life

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._place, name)
        return lambda *args, **named: self._life.call(name, function, *args, **named)
