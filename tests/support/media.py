"""What the uploads tests share: people, announced photos, the phone's PUT, and S3's events."""

import hashlib
import json
import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus
from uuid import UUID

import httpx
from sqlalchemy import insert, select

from fieldgate.db.engine import Database
from fieldgate.db.tables.all import media, users
from fieldgate.http.idempotency import IdempotentRequest
from fieldgate.storage.s3 import S3Storage
from tests import photos
from tests.support.s3 import MEDIA, ORIGINALS, LocalS3
from uploads.file_rules import PHOTO_TYPES, Folder, check_photo
from uploads.presigning import presign_photo
from uploads.store import Media, find

# A request without Idempotency-Key.
UNNAMED = IdempotentRequest(scope="", key=None, digest=b"")
QUEUE_ARN = "arn:aws:sqs:eu-west-1:123456789012:media-uploaded"
# The first extension of each type.
_EXTENSIONS = {kind: extension for extension, kind in reversed(PHOTO_TYPES.items())}


def add_user(database: Database, name: str = "Grower") -> UUID:
    """Add a user who can own media; the phone is made up and differs each time."""
    phone = f"+2547{uuid.uuid4().int % 10**8:08}"
    statement = insert(users).values(name=name, phone=phone).returning(users.c.id)
    user_id: UUID = database.transact(lambda connection: connection.execute(statement).scalar_one())
    return user_id


def row_of(database: Database, media_id: UUID) -> dict[str, Any] | None:
    """Return the media's row as it is, deleted or not; None when there is none."""
    statement = select(media).where(media.c.id == media_id)
    row = database.read(lambda connection: connection.execute(statement).mappings().one_or_none())
    return dict(row) if row else None


def all_rows(database: Database) -> list[dict[str, Any]]:
    rows = database.read(lambda connection: connection.execute(select(media)).mappings().all())
    return [dict(row) for row in rows]


@dataclass
class Darkroom:
    """Announces photos of one owner and puts them into storage, as presign and phone do."""

    database: Database
    s3: LocalS3
    originals: S3Storage
    published: S3Storage
    owner_id: UUID

    def announce(
        self,
        content: bytes | None = None,
        *,
        content_type: str = "image/jpeg",
        folder: Folder = Folder.FARMERS,
        size: int | None = None,
        sha256: bytes | None = None,
    ) -> Media:
        """Have a photo presigned; `size` is that of `content` unless told."""
        content = photos.small_jpeg() if content is None else content
        photo = check_photo(
            f"leaf{_EXTENSIONS[content_type]}", content_type, size or max(1, len(content))
        )
        media_id = presign_photo(
            UNNAMED, self.database, self.originals, self.owner_id, folder, photo, sha256
        ).media_id
        found = self.database.read(lambda connection: find(connection, media_id, self.owner_id))
        assert found is not None
        return found

    def upload(
        self, content: bytes | None = None, *, content_type: str = "image/jpeg", **announced: Any
    ) -> Media:
        """Announce a photo and store `content` for it, past the signature: it may be a lie."""
        content = photos.small_jpeg() if content is None else content
        found = self.announce(content, content_type=content_type, **announced)
        self.store(found, content)
        return found

    def store(self, found: Media, content: bytes) -> None:
        self.originals.put(
            found.object_key, content, content_type=found.content_type, cache_control="private"
        )

    def row(self, found: Media) -> dict[str, Any]:
        row = row_of(self.database, found.id)
        assert row is not None
        return row

    def variants(self) -> dict[str, bytes]:
        return self.s3.stored(MEDIA)

    def stored_originals(self) -> dict[str, bytes]:
        return self.s3.stored(ORIGINALS)


def put(presigned: Any, content: bytes, **headers: str) -> httpx.Response:
    """Send what was presigned (its URL and headers), as a phone does."""
    sent = presigned["headers"] | {"Content-Length": str(len(content))} | headers
    return httpx.put(presigned["url"], headers=sent, content=content)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def s3_notification(*object_keys: str, event_name: str = "ObjectCreated:Put") -> str:
    """The text that S3 sends to a queue (event structure 2.1), with its URL-encoded keys."""
    records = [
        {
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": "eu-west-1",
            "eventTime": "2026-01-10T10:00:00.000Z",
            "eventName": event_name,
            "s3": {
                "s3SchemaVersion": "1.0",
                "bucket": {"name": ORIGINALS, "arn": f"arn:aws:s3:::{ORIGINALS}"},
                "object": {"key": quote_plus(key, safe="/"), "size": 1, "sequencer": "0A"},
            },
        }
        for key in object_keys
    ]
    return json.dumps({"Records": records})


def setup_notification() -> str:
    """The text that S3 sends when the bucket is set up to notify."""
    return json.dumps(
        {
            "Service": "Amazon S3",
            "Event": "s3:TestEvent",
            "Time": "2026-01-10T10:00:00.000Z",
            "Bucket": ORIGINALS,
            "RequestId": "5582815E1AEA5ADF",
            "HostId": "8cLeGAmw098X5cv4Zkwcmo8vvZa3eH3eKxsPzbB9wrR",
        }
    )


def sqs_event(*bodies: str, receives: int = 1) -> dict[str, Any]:
    """The event that Lambda makes of queued messages."""
    return {
        "Records": [
            {
                "messageId": str(uuid.uuid4()),
                "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a",
                "body": body,
                "attributes": {
                    "ApproximateReceiveCount": str(receives),
                    "SentTimestamp": "1768039200000",
                    "SenderId": "AIDAJXNJGGKNS7OSV23OI",
                    "ApproximateFirstReceiveTimestamp": "1768039200010",
                },
                "messageAttributes": {},
                "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
                "eventSource": "aws:sqs",
                "eventSourceARN": QUEUE_ARN,
                "awsRegion": "eu-west-1",
            }
            for body in bodies
        ]
    }
