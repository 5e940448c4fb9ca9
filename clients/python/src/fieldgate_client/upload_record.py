"""What is kept of an upload, and the states it goes through.

    added -> creating -> sending <-> completing -> completed
    creating -> added                           its key names another request: begun with a new one
    any of them -> failed                       taken up again by the next run: as `sending`, or as
                                                `creating` if the server never agreed to it
    any of them -> refused                      the server doesn't want this file
    any of them -> cancelling -> cancelled      by the user
    any of them -> cancelled                    by the user, elsewhere
    any of them -> added                        the server forgot it: begun anew

The states are for people and for `cancel`; what has arrived is asked of the server each time.
"""

import json
from dataclasses import dataclass

from fieldgate_client.answers import Fields
from fieldgate_client.errors import NetworkError
from fieldgate_client.local_file import FileIdentity
from fieldgate_client.policy import Policy

OVER = ("completed", "refused", "cancelled")
GIVEN_UP = ("cancelling", "cancelled")


@dataclass(frozen=True)
class UploadRecord:
    """A row of `uploads`, as fieldgate_client.database explains it."""

    id: str
    server: str
    user_id: str
    path: str
    folder: str
    filename: str
    content_type: str
    size: int
    modified_ns: int
    sha256: str
    chunk_size: int
    idempotency_key: str
    state: str = "added"
    paused: int = 0
    failure_reason: str | None = None
    failure_message: str | None = None
    upload_id: str | None = None
    media_id: str | None = None
    policy: str | None = None
    failures: int = 0
    retries: int = 0
    restarts: int = 0
    mends: int = 0
    bytes_in_vain: int = 0

    @property
    def identity(self) -> FileIdentity:
        return FileIdentity(self.size, self.modified_ns, self.sha256)

    def is_the_same_as(self, other: "UploadRecord") -> bool:
        """Say whether it is of the same bytes from the same path into the same folder."""
        mine = (self.path, self.folder, self.sha256)
        return mine == (other.path, other.folder, other.sha256)

    @property
    def chunk_count(self) -> int:
        """Into how many chunks the server has agreed to have the file cut."""
        return -(-self.size // self.chunk_size)

    @property
    def agreed_policy(self) -> Policy:
        """How the server wants it sent; our own way where it didn't say so understandably."""
        try:
            return Policy.of(Fields(json.loads(self.policy or "")))
        except (NetworkError, ValueError):
            return Policy()


@dataclass(frozen=True)
class Chunk:
    """A row of `chunks`; `number` counts from 1, the rest is in bytes."""

    number: int
    length: int
    sha256: str
    acknowledged: bool
    sent_bytes: int
