"""Uploads that survive the field: added once, run until they have arrived.

    uploads = UploadManager(api, database)
    local_id = await uploads.add(Path("contract.pdf"), "client-documents")
    finished = await uploads.run(local_id)      # again after whatever ended it, a killed app too

All that has to be known to go on is on the disk before the network hears of it.
"""

import asyncio
import time
import unicodedata
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from fieldgate_client import local_file
from fieldgate_client.answers import UNPACKED
from fieldgate_client.api import Api
from fieldgate_client.chunk_sending import Surroundings
from fieldgate_client.database import FOLDER_MODE, Database
from fieldgate_client.errors import OtherAccount, UploadBusy, UploadCancelled, UploadFailed
from fieldgate_client.network import network_type
from fieldgate_client.policy import CHUNK_BYTES, PART_TIMEOUT_SECONDS
from fieldgate_client.process_lock import process_lock
from fieldgate_client.progress import Meter, Progress
from fieldgate_client.upload_record import GIVEN_UP, UploadRecord
from fieldgate_client.upload_run import UploadRun
from fieldgate_client.upload_store import UploadStore
from fieldgate_client.withdrawal import withdraw

# Docs, "Files in chunks": what may be uploaded. Anything else the server will refuse to take.
CONTENT_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".pdf": "application/pdf",
    ".doc": "application/msword",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".xls": "application/vnd.ms-excel",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".csv": "text/csv",
    ".txt": "text/plain",
}
UNKNOWN_TYPE = "application/octet-stream"
LOCKS = "uploads.locks"  # a folder beside the database


@dataclass(frozen=True)
class Finished:
    """An upload that has arrived; `progress` holds its last figures."""

    upload_id: str
    media_id: str
    progress: Progress


@dataclass(frozen=True)
class PendingUpload:
    """An upload that is not over; sizes in bytes, `acknowledged` as far as we know."""

    id: str
    path: Path
    folder: str
    size: int
    acknowledged: int
    state: str
    paused: bool
    failure_reason: str | None


class UploadManager:
    """The uploads of whoever is signed in.

    Args:
        api: the server.
        database: where they are kept.
        storage_transport: httpx's own, unless told; no token of ours goes through it.
        chunk_bytes: the size of chunks to ask the server for.
        parallel: how many chunks may be under way at once, by the network there is now (see
            fieldgate_client.network); 0 is: none, there is no network.
        clock: monotonic, in seconds. No wall clock is asked for anything.
        sleep: waits so many seconds.

    """

    def __init__(
        self,
        api: Api,
        database: Database,
        *,
        storage_transport: httpx.AsyncBaseTransport | None = None,
        chunk_bytes: int = CHUNK_BYTES,
        parallel: Callable[[], int] = lambda: network_type().parallel_parts,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._api = api
        self._database = database
        self._store = UploadStore(database)
        self._storage_transport = storage_transport
        self._chunk_bytes = chunk_bytes
        self._parallel = parallel
        self._clock = clock
        self._sleep = sleep
        self._running: dict[str, asyncio.Task[Finished]] = {}

    async def add(self, path: Path, folder: str, content_type: str | None = None) -> str:
        """Remember a file to be sent, whether there is a network or not; return its local id.

        The same bytes from the same path for the same folder are the same upload until it is over.

        Raises:
            FileChanged: there is no such file, or it is being written to.
            SignedOut: it would be nobody's.

        """
        user_id = self._api.user_id
        path, identity = await asyncio.to_thread(
            lambda: (path.absolute(), local_file.identify(path))
        )
        record = UploadRecord(
            id=str(uuid.uuid4()),
            server=self._api.server,
            user_id=user_id,
            path=str(path),
            folder=folder,
            filename=unicodedata.normalize("NFC", path.name),
            content_type=content_type or CONTENT_TYPES.get(path.suffix.lower(), UNKNOWN_TYPE),
            size=identity.size,
            modified_ns=identity.modified_ns,
            sha256=identity.sha256,
            chunk_size=self._chunk_bytes,
            idempotency_key=str(uuid.uuid4()),
        )
        return self._store.add(record)

    def has_arrived(self, path: Path, folder: str) -> bool:
        """Say whether this very file, by size and time, was sent for this folder before."""
        path = path.absolute()
        try:
            found = path.stat()
        except OSError:
            return False
        return any(
            (record.size, record.modified_ns) == (found.st_size, found.st_mtime_ns)
            for record in self._store.sent_before(
                self._api.server, self._api.user_id, str(path), folder
            )
        )

    def media_id(self, local_id: str) -> str | None:
        """Return the media that an upload has become; None while it has not arrived."""
        record = self._store.find(local_id)
        return record.media_id if record.state == "completed" else None

    async def run(
        self, local_id: str, on_progress: Callable[[Progress], None] | None = None
    ) -> Finished:
        """Send what is missing until the file has arrived; takes up what was paused or failed.

        Raises:
            NetworkError, ApiError, SignedOut: run it again when that is over.
            UploadFailed: says whether to run it again.
            FileChanged: run it again when the file is back as it was.
            UploadBusy, UploadPaused, UploadCancelled, OtherAccount
            KeyError: there is no such upload.

        """
        self._check_account(local_id)
        task = asyncio.create_task(self._run(local_id, on_progress))
        if local_id in self._running:
            return await task  # which will find the upload busy
        self._running[local_id] = task
        try:
            return await task
        except asyncio.CancelledError:
            if self._store.find(local_id).state in GIVEN_UP:
                raise UploadCancelled("The upload was given up.") from None
            raise
        finally:
            del self._running[local_id]

    def pause(self, local_id: str) -> None:
        """Have a run, of any process, end with UploadPaused once its chunks under way are there."""
        self._store.pause(local_id)

    async def cancel(self, local_id: str) -> bool:
        """Give an upload up, here and at the server; False when it had arrived before.

        Given up it is in any case: what raises here is done by the next `cancel` or `run`.

        Raises:
            NetworkError, ApiError, SignedOut: the server has not heard of it yet.
            OtherAccount
            KeyError: there is no such upload.

        """
        self._check_account(local_id)
        state = self._store.give_up(local_id)
        if running := self._running.get(local_id):
            running.cancel()
            await asyncio.wait([running])
        if state != "cancelling":
            return state != "completed"
        async with self._surroundings(None) as surroundings:
            return await withdraw(self._store.find(local_id), surroundings)

    def pending(self) -> list[PendingUpload]:
        """Return the uploads that are not over, oldest first; raises SignedOut."""
        return [
            PendingUpload(
                record.id,
                Path(record.path),
                record.folder,
                record.size,
                sum(c.length for c in self._store.chunks(record.id) if c.acknowledged),
                record.state,
                bool(record.paused),
                record.failure_reason,
            )
            for record in self._store.unfinished(self._api.server, self._api.user_id)
        ]

    async def _run(self, local_id: str, on_progress: Callable[[Progress], None] | None) -> Finished:
        with self._lock(local_id):
            record = self._store.begin_run(local_id)
            if record.state == "refused":
                raise UploadFailed(
                    str(record.failure_reason),
                    may_resume=False,
                    message=record.failure_message or "",
                )
            async with (
                self._surroundings(on_progress) as surroundings,
                surroundings.meter.telling(),
            ):
                run = UploadRun(record, surroundings)
                if record.state == "cancelled" or (
                    record.state == "cancelling" and await withdraw(record, surroundings)
                ):
                    raise UploadCancelled("The upload was given up.")
                record = self._store.find(local_id)
                if record.state != "completed":
                    record = await run.finish()
                progress = run.progress()
        return Finished(str(record.upload_id), str(record.media_id), progress)

    @contextmanager
    def _lock(self, local_id: str) -> Iterator[None]:
        """Let one process, and one task of it, work on an upload; raises UploadBusy for others.

        A lease in the database would need a clock that all agree on, and would keep the upload of
        a killed process waiting until it ran out.
        """
        folder = self._database.path.with_name(LOCKS)
        folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
        with process_lock(folder / local_id) as is_ours:
            if not is_ours:
                raise UploadBusy("The upload is being worked on elsewhere.")
            yield
            # Arrived. Whoever locks the removed file now finds nothing to do.
            (folder / local_id).unlink(missing_ok=True)

    @asynccontextmanager
    async def _surroundings(
        self, on_progress: Callable[[Progress], None] | None
    ) -> AsyncIterator[Surroundings]:
        async with httpx.AsyncClient(
            transport=self._storage_transport, timeout=PART_TIMEOUT_SECONDS, headers=UNPACKED
        ) as storage:
            yield Surroundings(
                self._api,
                self._store,
                storage,
                Meter(self._clock, on_progress),
                self._parallel,
                self._clock,
                self._sleep,
            )

    def _check_account(self, local_id: str) -> None:
        record = self._store.find(local_id)
        if (record.server, record.user_id) != (self._api.server, self._api.user_id):
            raise OtherAccount(f"{record.path} is another account's upload.")
