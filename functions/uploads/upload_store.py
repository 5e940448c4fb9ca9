"""Every query of a phone's requests about its upload in chunks."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, select

from fieldgate.db.tables.uploads import uploads


@dataclass(frozen=True)
class Upload:
    id: UUID
    media_id: UUID
    owner_id: UUID
    object_key: str
    content_type: str
    size: int
    sha256: str | None
    chunk_size: int
    state: str
    consecutive_failures: int
    failure_reason: str | None
    refused: bool
    assembly_attempts: int
    multipart_id: str | None
    expires_at: datetime

    @property
    def chunk_count(self) -> int:
        return -(-self.size // self.chunk_size)

    def chunk_length(self, number: int) -> int:
        """Return the bytes of chunk `number`, from 1 to `chunk_count`; the last is what is left."""
        return min(self.chunk_size, self.size - (number - 1) * self.chunk_size)


COLUMNS = [uploads.c[name] for name in Upload.__dataclass_fields__]


def find(connection: Connection, upload_id: UUID, owner_id: UUID | None) -> Upload | None:
    """Return an upload; of `owner_id` only, unless that is None."""
    row = connection.execute(select(*COLUMNS).where(_owned(upload_id, owner_id)))
    return as_upload(row.mappings().one_or_none())


def as_upload(row: RowMapping | None) -> Upload | None:
    return Upload(**{name: row[name] for name in Upload.__dataclass_fields__}) if row else None


def _owned(upload_id: UUID, owner_id: UUID | None) -> ColumnElement[bool]:
    is_it: Any = uploads.c.id == upload_id
    return is_it if owner_id is None else and_(is_it, uploads.c.owner_id == owner_id)
