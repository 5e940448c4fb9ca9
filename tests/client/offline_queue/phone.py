"""A phone whose queue is tried: its clock is moved by hand and its uploads end as they are told."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from fieldgate_client.api import Api
from fieldgate_client.database import Database
from fieldgate_client.errors import (
    ClientError,
    NetworkError,
)
from fieldgate_client.offline_queue import (
    OfflineQueue,
    Watcher,
)
from fieldgate_client.outbox import Entry
from fieldgate_client.progress import Progress
from fieldgate_client.tokens import TokenStore
from fieldgate_client.upload_record import UploadRecord
from fieldgate_client.upload_store import UploadStore
from tests.client.fake_api import SERVER, TOKENS, FakeApi, Fault

MONDAY = datetime(2026, 1, 12, 8, tzinfo=UTC)
HALF_WAY = Progress(
    size=2, acknowledged=1, sent=1, resent_bytes=0, retries=0, speed=None, remaining=None
)


@dataclass
class Uploads:
    """Keeps uploads where the real ones are kept, and has each end as it is told."""

    store: UploadStore
    user_id: str = TOKENS.user_id
    ends: dict[str, list[BaseException]] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)
    offline: bool = False

    async def add(self, path: Path, folder: str, content_type: str | None = None) -> str:
        local_id = hashlib.sha256(str(path).encode()).hexdigest()[:8]
        known = [record.id for record in self.store.unfinished(SERVER, self.user_id)]
        if local_id not in known:
            self.store.add(
                UploadRecord(
                    id=local_id,
                    server=SERVER,
                    user_id=self.user_id,
                    path=str(path),
                    folder=folder,
                    filename=path.name,
                    content_type=content_type or "text/plain",
                    size=2,
                    modified_ns=0,
                    sha256="",
                    chunk_size=1,
                    idempotency_key=f"key of {path.name}",
                )
            )
        return local_id

    async def run(
        self, local_id: str, on_progress: Callable[[Progress], None] | None = None
    ) -> None:
        name = Path(self.store.find(local_id).path).name
        self.ran.append(name)
        if on_progress is not None:
            on_progress(HALF_WAY)
        if self.ends.get(name):
            raise self.ends[name].pop(0)
        self.store.completed(local_id)

    async def cancel(self, local_id: str) -> None:
        self.store.give_up(local_id)
        if self.offline:
            raise NetworkError("no route")
        self.given_up.append(local_id)


class Recorder(Watcher):
    """Remembers what it is told, by title."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.set_aside: list[str] = []
        self.so_far: list[tuple[str, Progress]] = []
        self.waited_for: list[ClientError] = []

    def progress(self, entry: Entry, progress: Progress) -> None:
        self.so_far.append((entry.title, progress))

    def ended(self, entry: Entry, reason: str | None) -> None:
        (self.sent if reason is None else self.set_aside).append(entry.title)

    def waiting(self, error: ClientError) -> None:
        self.waited_for.append(error)


class Phone:
    """A phone with a queue, a clock and a server of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.now = MONDAY
        self.server = FakeApi()
        self.pauses: list[float] = []
        self.database = Database(home / "client.db")
        self.uploads = Uploads(UploadStore(self.database))
        self.tokens = TokenStore(self.database)
        self.tokens.save(SERVER, TOKENS)
        self.api = Api(SERVER, self.tokens, transport=self.server, sleep=self.wait)
        self.queue = OfflineQueue(
            self.database, self.api, self.uploads, now=lambda: self.now, sleep=self.wait
        )

    async def wait(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def fails(self, *faults: Fault) -> None:
        """Have the next requests fail so, each with all its tries (policy.MAX_RETRIES)."""
        self.server.faults = [fault for fault in faults for _ in range(4)]

    @property
    def reasons(self) -> dict[str, str | None]:
        return {entry.title: entry.reason for entry in self.queue.entries() if entry.set_aside}

    @property
    def waiting(self) -> list[str]:
        return [entry.title for entry in self.queue.entries() if not entry.set_aside]


type Tell = Callable[[Callable[[Phone], Awaitable[None]]], None]
