"""Uploads that survive the field: added once, run until they have arrived."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from fieldgate_client.api import Api
from fieldgate_client.database import Database
from fieldgate_client.policy import Policy
from fieldgate_client.progress import Progress


@dataclass(frozen=True)
class Finished:
    """An upload that has arrived; `progress` holds its last figures."""

    upload_id: str
    media_id: str
    progress: Progress


@dataclass(frozen=True)
class PendingUpload:
    """An upload that has not arrived and was not given up."""

    id: str
    path: Path
    folder: str
    size: int
    acknowledged: int
    state: str
    paused: bool
    failure_reason: str | None


class UploadManager:
    def __init__(
        self,
        api: Api,
        database: Database,
        *,
        storage_transport: httpx.AsyncBaseTransport | None = None,
        policy: Policy | None = None,
        parallel: Callable[[], int] = lambda: 4,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None: ...

    async def add(self, path: Path, folder: str, content_type: str | None = None) -> str:
        """Remember a file to be sent, before anything goes to the network; return its local id.

        An unfinished upload of the same bytes from the same path into the same folder is that one.

        Raises FileChanged (not there, or written to meanwhile), SignedOut.
        """
        raise NotImplementedError

    async def run(
        self, local_id: str, on_progress: Callable[[Progress], None] | None = None
    ) -> Finished:
        """Send what is missing until the file has arrived; also resumes what failed or was paused.

        Raises NetworkError, ApiError, SignedOut (run again when that is over), UploadFailed,
        FileChanged, UploadBusy, UploadPaused, UploadCancelled, OtherAccount.
        """
        raise NotImplementedError

    def pause(self, local_id: str) -> None:
        raise NotImplementedError

    async def cancel(self, local_id: str) -> bool:
        """Give it up, here and at the server; False when it had arrived before. May raise NetworkError: then
        it is kept as given up, and `run` or `cancel` finish it later."""
        raise NotImplementedError

    def pending(self) -> list[PendingUpload]:
        raise NotImplementedError
