"""Files of each way to be put together, and what may happen to a run at it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, override

import pytest

from fieldgate.storage.s3 import S3Storage
from tests import photos
from tests.support.assembly import MIB, Life, Yard, some_text
from tests.support.media import sha256
from tests.support.s3 import ORIGINALS, LocalS3
from uploads.assembling import assemble
from uploads.upload_store import Upload

KIB = 1024


@dataclass(frozen=True)
class Kind:
    """A file that goes one of the ways there are."""

    filename: str
    content: bytes
    chunk_size: int

    @property
    def is_photo(self) -> bool:
        return self.filename.endswith(".jpg")

    def send(self, yard: Yard) -> Upload:
        return yard.send(
            self.content,
            filename=self.filename,
            chunk_size=self.chunk_size,
            sha256=sha256(self.content),
        )


KINDS = {
    "document in one PUT": Kind("notes.txt", some_text(150 * KIB), 100 * KIB),
    "photo in one PUT": Kind("leaf.jpg", photos.small_jpeg().ljust(150 * KIB, b"\0"), 100 * KIB),
    "document in parts": Kind("notes.txt", some_text(6 * MIB), 5 * MIB),
    "photo in parts": Kind("leaf.jpg", photos.small_jpeg().ljust(6 * MIB, b"\0"), 5 * MIB),
}


# Where it is of no matter whether it is a photo.
TWO_KINDS = pytest.mark.parametrize(
    "kind", ["document in one PUT", "photo in parts"], indirect=True
)


def assert_whole(yard: Yard, upload: Upload, kind: Kind, s3: LocalS3) -> None:
    """One object with exactly the bytes, its row, and nothing that was left on the way."""
    media = yard.media(upload)
    assert media is not None
    assert yard.states(upload) == ("completed", None, "pending" if kind.is_photo else "stored")
    assert media["sha256"] == sha256(kind.content)
    assert yard.made()[upload.object_key] == kind.content
    versions = s3.client().list_object_versions(Bucket=ORIGINALS, Prefix=upload.object_key)
    assert len(versions["Versions"]) == 1
    assert "DeleteMarkers" not in versions
    assert set(yard.announced) == ({upload.object_key} if kind.is_photo else set())
    assert yard.staged() == {}


def calls_of(yard: Yard, kind: Kind) -> list[str]:
    """Return the calls that a run makes which nothing happens to."""
    life = Life()
    assemble(life.places(yard.places), str(kind.send(yard).id))
    return life.calls


class Meeting(S3Storage):
    """Originals where something happens just before or after the file is made."""

    before: Callable[[], None] = staticmethod(lambda: None)
    after: Callable[[], None] = staticmethod(lambda: None)

    @override
    def put(self, key: str, body: bytes, **stored_as: Any) -> None:
        self.before()
        super().put(key, body, **stored_as)
        self.after()

    @override
    def put_part(self, key: str, multipart_id: str, number: int, body: bytes) -> str:
        if number == 1:
            self.before()
        return super().put_part(key, multipart_id, number, body)

    @override
    def complete_parts(self, *args: Any, **named: Any) -> None:
        super().complete_parts(*args, **named)
        self.after()
