"""What is done without a network: kept on the disk, and sent in order when the network is back.

Each entry has its idempotency key from the moment it is added. It is deleted after the answer came;
a process killed between the two sends it again with the same key, and the server does it once.

What may pass (no network, 429, 503 ...) stops the sending, and the order stays. What is refused for
good is set aside with the reason: it doesn't block the others, but those that depend on it wait,
until somebody has it tried again or drops it.
"""

import asyncio
import json
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from fieldgate_client.api import IDEMPOTENT_METHODS, Api
from fieldgate_client.captive_portal import Reach
from fieldgate_client.connectivity import RECHECK_SECONDS, Connectivity
from fieldgate_client.database import Database
from fieldgate_client.errors import (
    GONE_STATUSES,
    ApiError,
    ClientError,
    SignedOut,
    UploadBusy,
    UploadCancelled,
    UploadPaused,
    is_passing,
)
from fieldgate_client.outbox import Entry, Outbox, Owner
from fieldgate_client.process_lock import process_lock
from fieldgate_client.progress import Progress

log = logging.getLogger(__name__)

KEY_LIVES = timedelta(hours=24)  # docs/api.md, "Repeating a request"
LOCK = "sending.lock"  # beside the database
# The server may ask for a year. Somebody who opens the app tomorrow wants it to have tried; and ten
# minutes are what asking again costs nobody anything.
MAX_PAUSE_SECONDS = 600.0

MAY_BE_DONE = (
    "It was sent more than 24 hours ago and the answer was lost: it may have been done. "
    "Look whether it was; then drop it, or have it tried again."
)


@dataclass(frozen=True)
class Drained:
    """What came of sending the queue.

    `stopped_by` is what stopped it, if something did: an error that passes, SignedOut, or
    UploadBusy where another process, or another task of this one, is at it.
    """

    sent: int = 0
    set_aside: int = 0
    stopped_by: ClientError | None = None


class Uploads(Protocol):
    """What the queue needs of fieldgate_client.uploads.UploadManager."""

    async def add(self, path: Path, folder: str, content_type: str | None = None) -> str: ...

    async def run(
        self, local_id: str, on_progress: Callable[[Progress], None] | None = None
    ) -> object: ...

    async def cancel(self, local_id: str) -> object: ...


class Watcher:
    """Is told how the sending goes; does nothing with it unless a subclass does."""

    def progress(self, entry: Entry, progress: Progress) -> None:
        """An upload is so far."""

    def ended(self, entry: Entry, reason: str | None) -> None:
        """An entry was sent (None), or set aside for the reason."""

    def waiting(self, error: ClientError) -> None:
        """The sending waits, for this error to pass."""


class OfflineQueue:
    """The queue of whoever is signed in to the server of `api`.

    Others who use this device have theirs; nobody sends another's. All methods raise SignedOut
    where nobody is signed in.
    """

    def __init__(
        self,
        database: Database,
        api: Api,
        uploads: Uploads,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._outbox = Outbox(database)
        self._lock = database.path.with_name(LOCK)
        self._api = api
        self._uploads = uploads
        self._now = now
        self._sleep = sleep

    def add_request(
        self, method: str, path: str, body: Any = None, *, after: int | None = None
    ) -> int:
        """Keep a request for later; return the entry's id.

        `path` is below /api/v1, `body` what JSON can hold. `after` is the entry that has to be sent
        before. Only what the server does once by key (docs/api.md, "Repeating a request"), or what
        is the same when done twice, belongs here.
        """
        content = None if body is None else json.dumps(body, allow_nan=False)
        return self._outbox.add_request(
            self._owner(), method.upper(), path, content, after, self._now()
        )

    async def add_upload(self, path: Path, folder: str, content_type: str | None = None) -> int:
        """Keep a file to be sent; return the entry's id.

        A file that is in the queue already keeps its place there, and is tried again if it was set
        aside.
        """
        return self.keep_upload(await self._uploads.add(path, folder, content_type))

    def keep_upload(self, upload: str) -> int:
        """Keep an upload to be sent; return the entry's id. Its key is the upload's own.

        Killed before this, `add_upload` leaves an upload without an entry.
        """
        entry = self._outbox.of_upload(upload)
        if entry is None:
            return self._outbox.add_upload(upload, self._now())
        self.retry(entry)
        return entry

    def entries(self) -> list[Entry]:
        """List what waits and what was set aside, in order."""
        return self._outbox.entries(self._owner())

    def retry(self, entry: int) -> bool:
        """Let an entry that was set aside be sent again, in its old place; False: no such entry."""
        return self._outbox.retry(self._owner(), entry)

    async def drop(self, entry: int) -> bool:
        """Give an entry up, and all that depend on it; False: no such entry.

        An upload is given up at the server too. Raises NetworkError where that can't be reached;
        the next drain makes up for it.
        """
        found = next((each for each in self.entries() if each.id == entry), None)
        if found is None:
            return False
        if found.upload is not None:
            await self._uploads.cancel(found.upload)
        self._outbox.drop(entry)
        return True

    async def drain(self, watcher: Watcher | None = None) -> Drained:
        """Send what waits, in order, until nothing is left or something stops it."""
        watcher = watcher or Watcher()
        sent = set_aside = last = 0
        with process_lock(self._lock) as free:
            if not free:
                return Drained(stopped_by=UploadBusy("Another process is sending the queue."))
            while (entry := self._outbox.next(self._owner(), last)) is not None:
                last = entry.id
                try:
                    reason = await self._send(entry, watcher)
                except UploadPaused:
                    continue  # the user's wish; it stays where it is
                except UploadCancelled:
                    self._outbox.drop(entry.id)
                    continue
                except ClientError as error:
                    return Drained(sent, set_aside, stopped_by=error)
                sent += reason is None
                set_aside += reason is not None
                watcher.ended(entry, reason)
            return Drained(sent, set_aside)

    async def drain_when_online(
        self, connectivity: Connectivity, watcher: Watcher | None = None
    ) -> Drained:
        """Send what waits, and wait for the network, the server or another process if need be.

        Returns when nothing is left that may be sent, or somebody has to do something: sign in.
        """
        watcher = watcher or Watcher()
        sent = set_aside = fruitless = 0
        while True:
            await connectivity.wait_online()
            came = await self.drain(watcher)
            sent, set_aside = sent + came.sent, set_aside + came.set_aside
            if came.stopped_by is None or isinstance(came.stopped_by, SignedOut):
                return Drained(sent, set_aside, came.stopped_by)
            watcher.waiting(came.stopped_by)
            fruitless = 0 if came.sent else fruitless + 1
            if (await connectivity.check()).reach is Reach.ONLINE:
                # The network is there, so it is the server that has trouble: no hurry.
                await self._sleep(_pause(came.stopped_by, fruitless))

    async def _send(self, entry: Entry, watcher: Watcher) -> str | None:
        """Send an entry. Done, it is deleted; refused, it is set aside and the reason returned.

        Raises UploadPaused, UploadCancelled, and what stops the sending.
        """
        if self._may_be_done_for_good(entry):
            return self._set_aside(entry, MAY_BE_DONE)
        self._outbox.begin(entry.id, self._now())
        try:
            if entry.upload is not None:
                await self._uploads.run(entry.upload, partial(watcher.progress, entry))
            else:
                await self._request(entry)
        except (UploadPaused, UploadCancelled):
            raise
        except ClientError as error:
            if _stops(error):
                self._outbox.stopped(entry.id, str(error), may_be_done=_may_be_done(error))
                raise
            return self._set_aside(entry, str(error))
        except (OSError, sqlite3.Error):
            raise  # this machine's trouble, which the next one would have as well
        except Exception as error:  # whatever it is: it is this entry's, and not the others'
            log.info("Entry %d of the queue failed unexpectedly", entry.id, exc_info=True)
            said = ": ".join(filter(None, ("Unexpected", type(error).__name__, str(error))))
            return self._set_aside(entry, said)
        self._outbox.sent(entry.id)
        return None

    def _set_aside(self, entry: Entry, reason: str) -> str:
        self._outbox.set_aside(entry.id, reason)
        return reason

    async def _request(self, entry: Entry) -> None:
        assert entry.method is not None
        body = None if entry.body is None else json.loads(entry.body)
        try:
            await self._api.request(
                entry.method, entry.path, json=body, idempotency_key=entry.idempotency_key
            )
        except ApiError as error:
            # It was done before and the answer was lost, or somebody else did it: it is gone.
            if not (entry.method == "DELETE" and error.status in GONE_STATUSES):
                raise

    def _may_be_done_for_good(self, entry: Entry) -> bool:
        """Whether it may have been done, and so long ago that the server has forgotten its key.

        By the phone's clock, since there is no better one at hand; set back, it tells nothing.
        """
        if entry.method is None or entry.method in IDEMPOTENT_METHODS:
            return False  # an upload asks the server what it has
        if entry.first_sent_at is None:
            return False
        return not timedelta(0) <= self._now() - entry.first_sent_at < KEY_LIVES

    def _owner(self) -> Owner:
        return Owner(self._api.server, self._api.user_id)


def _stops(error: ClientError) -> bool:
    """Whether sending the next one makes no sense before this is over."""
    return is_passing(error) or isinstance(error, SignedOut | UploadBusy)


def _may_be_done(error: ClientError) -> bool:
    """Whether the server may have done what it was asked for, whatever it said or we saw."""
    if isinstance(error, ApiError):
        # 409 that passes: the first try is still worked on. 503: docs/api.md, the same section.
        return error.status >= 500 or error.status == 409
    return not isinstance(error, SignedOut)


def _pause(error: ClientError, fruitless: int) -> float:
    asked = error.retry_after if isinstance(error, ApiError) else None
    # A server that is away for days must not make a number of it that no float can hold.
    ours = min(RECHECK_SECONDS, 2.0 ** min(fruitless, 10))
    return min(max(asked or 0.0, ours), MAX_PAUSE_SECONDS)
