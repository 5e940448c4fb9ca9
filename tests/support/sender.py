"""A phone that sends files in chunks, through the functions and straight to storage.

upload = sender.begin(content)
sender.put_all(upload)
assert sender.complete(upload.id).status == 202
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import func, select, update

from fieldgate.db.engine import Database
from fieldgate.db.tables.all import uploads
from tests.support.gateway import Answer, Handler, call
from tests.support.media import put
from tests.support.s3 import STAGING, LocalS3
from tests.support.sqs import LocalSqs
from uploads import (
    abort_upload,
    complete_upload,
    create_upload,
    get_upload,
    report_failure,
    resume_upload,
    sign_chunks,
)

BASE = "/api/v1/uploads"
OWN = ["media:read", "media:write"]
# The least that a chunk may be; tests of many chunks need no more.
CHUNK = 100 * 1024


def some_bytes(size: int) -> bytes:
    """Return `size` bytes of text in which no two chunks are alike."""
    lines = b"".join(b"%014d\n" % number for number in range(size // 15 + 1))
    return lines[:size]


@dataclass(frozen=True)
class SentFile:
    """A file, and what was agreed about it."""

    content: bytes
    id: UUID
    media_id: UUID
    chunk_size: int

    @property
    def count(self) -> int:
        return -(-len(self.content) // self.chunk_size)

    def chunk(self, number: int) -> bytes:
        return self.content[(number - 1) * self.chunk_size : number * self.chunk_size]


@dataclass
class Sender:
    """`caller` is what the authorizer says of the phone's token."""

    caller: Mapping[str, Any] | None
    database: Database
    s3: LocalS3
    sqs: LocalSqs

    def create(self, *, key: str | None = None, **content: Any) -> Answer:
        """Ask for an upload of a text; a value of `...` leaves the field out."""
        wanted: dict[str, Any] = {
            "folder": "client-documents",
            "filename": "notes.txt",
            "contentType": "text/plain",
            "size": 1000,
        }
        wanted = {name: value for name, value in (wanted | content).items() if value is not ...}
        headers = {"Idempotency-Key": key} if key else {}
        return self._call(create_upload.handler, "POST", BASE, wanted, headers)

    def begin(self, content: bytes, *, chunk_size: int = CHUNK, **others: Any) -> SentFile:
        answer = self.create(size=len(content), chunkSize=chunk_size, **others)
        assert answer.status == 201, answer.body
        data = answer.data
        return SentFile(content, UUID(data["uploadId"]), UUID(data["mediaId"]), data["chunkSize"])

    def sign(self, upload_id: object, chunks: Any) -> Answer:
        content = {"chunks": chunks}
        return self._call(sign_chunks.handler, "POST", f"{BASE}/{upload_id}/urls", content)

    def sign_these(self, upload: SentFile, numbers: Iterable[int]) -> Answer:
        return self.sign(upload.id, [wish(number, upload.chunk(number)) for number in numbers])

    def put(self, upload: SentFile, number: int) -> httpx.Response:
        """Have one chunk signed, and send it."""
        answer = self.sign_these(upload, [number])
        assert answer.status == 200, answer.body
        return put(answer.data["urls"][0], upload.chunk(number))

    def put_all(self, upload: SentFile, numbers: Iterable[int] | None = None) -> None:
        """Send chunks, all of them unless told."""
        for number in numbers or range(1, upload.count + 1):
            assert self.put(upload, number).status_code == 200

    def get(self, upload_id: object) -> Answer:
        return self._call(get_upload.handler, "GET", f"{BASE}/{upload_id}")

    def fail(self, upload_id: object, number: Any = 1, reason: Any = "timed out") -> Answer:
        content = {"number": number, "reason": reason}
        return self._call(report_failure.handler, "POST", f"{BASE}/{upload_id}/failures", content)

    def resume(self, upload_id: object) -> Answer:
        return self._call(resume_upload.handler, "POST", f"{BASE}/{upload_id}/resume")

    def complete(self, upload_id: object) -> Answer:
        return self._call(complete_upload.handler, "POST", f"{BASE}/{upload_id}/complete")

    def abort(self, upload_id: object) -> Answer:
        return self._call(abort_upload.handler, "DELETE", f"{BASE}/{upload_id}")

    def staged(self) -> dict[str, bytes]:
        return self.s3.stored(STAGING)

    def row(self, upload_id: UUID) -> dict[str, Any]:
        statement = select(uploads).where(uploads.c.id == upload_id)
        row = self.database.read(lambda connection: connection.execute(statement).mappings().one())
        return dict(row)

    def change(self, upload_id: UUID, **values: Any) -> None:
        """Write into the upload's row what a test needs to be there."""
        statement = update(uploads).where(uploads.c.id == upload_id).values(**values)
        self.database.transact(lambda connection: connection.execute(statement))

    def let_expire(self, upload_id: UUID) -> None:
        self.change(upload_id, expires_at=func.now() - timedelta(seconds=1))

    def _call(
        self,
        handler: Handler,
        method: str,
        path: str,
        content: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        return call(handler, method, path, headers=headers, content=content, authorizer=self.caller)


def wish(number: Any, content: bytes) -> dict[str, Any]:
    """Write what is asked to be signed for a chunk."""
    return {"number": number, "sha256": hashlib.sha256(content).hexdigest()}
