"""One run of an upload: from wherever it is to where it has arrived.

What the server says decides each next step, so that a run may end anywhere, by whatever, and the
next one goes on.
"""

import asyncio
import uuid
from collections.abc import Sequence
from pathlib import Path

import httpx

from fieldgate_client import local_file
from fieldgate_client.chunk_sending import TOO_MANY_FAILURES, ChunkSender, Surroundings
from fieldgate_client.errors import (
    GONE_STATUSES,
    ApiError,
    FileChanged,
    NotUnderstood,
    UploadCancelled,
    UploadFailed,
    is_passing,
)
from fieldgate_client.progress import Progress
from fieldgate_client.upload_answers import BEING_SENT, Terms, View, missing_in
from fieldgate_client.upload_record import UploadRecord
from fieldgate_client.upload_requests import UploadRequests

# An upload that the server has forgotten is begun anew by itself, so often in a run.
MAX_RESTARTS = 1
# A file that came out wrong is read and sent again, so often.
MAX_MENDS = 2
# The server may find chunks missing that storage took; so often, then it is storage's fault.
# Counted are the times that it had to be sent again, not the steps.
MAX_ROUNDS = 10
# Assembling takes 1 to 3 s for 50 MiB: ask soon, then less and less (GET: 60 a minute).
POLL_FIRST_SECONDS = 1.0
POLL_MAX_SECONDS = 15.0
# How long an app should wait before it does something else: the next run goes on waiting. It may
# have to. Where a run of the assembly dies the server begins another after 20 to 30 minutes.
POLL_GIVE_UP_SECONDS = 20 * 60.0

CHECKSUM_MISMATCH = "CHECKSUM_MISMATCH"
FILE_CHANGED = "FILE_CHANGED"
CHUNKS_KEEP_MISSING = "CHUNKS_KEEP_MISSING"
STILL_ASSEMBLING = "STILL_ASSEMBLING"
NOT_UNDERSTOOD = "NOT_UNDERSTOOD"
IDEMPOTENCY_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
# What may be over by the next run: what the server calls failed and lets us resume, and
# CHUNKS_KEEP_MISSING, which only we say. Any other of the server's is about the file itself.
RESUMABLE = frozenset(
    {TOO_MANY_FAILURES, CHECKSUM_MISMATCH, "ASSEMBLY_FAILED", CHUNKS_KEEP_MISSING}
)
KEEPS_FORGETTING = "The server keeps forgetting this upload."


class _Forgotten(Exception):
    """The server's upload is over without having arrived: expired, or gone."""


class UploadRun:
    """Brings one upload to its end.

    Args:
        record: the upload, as it is kept.
        surroundings: what else it takes.

    """

    def __init__(self, record: UploadRecord, surroundings: Surroundings) -> None:
        self._id = record.id
        self._record = record
        self._by = surroundings

    async def finish(self) -> UploadRecord:
        """Return when the file has arrived; raises as `UploadManager.run` does."""
        try:
            return await self._finish()
        except NotUnderstood as error:
            # About this upload, as far as anybody knows: the others are not to wait for it.
            said = str(error)
            self._by.store.failed(self._id, NOT_UNDERSTOOD, message=said)
            raise UploadFailed(NOT_UNDERSTOOD, message=said) from error

    async def _finish(self) -> UploadRecord:
        while True:
            try:
                return await self._bring()
            except FileChanged:
                self._by.store.failed(self._id, FILE_CHANGED)
                raise
            except ApiError as error:
                if error.status not in GONE_STATUSES:
                    raise
                reason = error.code
            except _Forgotten as error:
                reason = str(error)
            if await self._server().has_arrived():
                return self._completed()
            self._begin_anew(reason)

    def progress(self) -> Progress:
        """Return the figures as they are kept."""
        self._begin_meter()
        return self._by.meter.progress()

    async def _bring(self) -> UploadRecord:
        if self._record.upload_id is None:
            await self._create()
        self._begin_meter()
        view = await self._server().ask("GET")
        if view.state == "failed":
            view = await self._take_up(view)
        rounds = 0
        while rounds < MAX_ROUNDS:
            match view.state:
                case "created" | "uploading":
                    view = await self._send(view)
                    rounds += view.state in BEING_SENT
                case "assembling":
                    view = await self._wait_for_assembly()
                    rounds += view.state in BEING_SENT
                case "failed" if view.failure_reason == CHECKSUM_MISMATCH:
                    view = await self._take_up(view)
                    rounds += view.state == "failed"  # it won't have it resumed either
                case "completed":
                    return self._completed()
                case "failed":
                    raise self._failure(view.failure_reason)
                case "aborted":
                    self._by.store.cancelled(self._id)
                    raise UploadCancelled("The upload was given up elsewhere.")
                case "expired":
                    raise _Forgotten("EXPIRED")
        raise self._failure(CHUNKS_KEEP_MISSING)

    async def _create(self) -> None:
        """Have the server agree to the upload, and know each chunk by its digest."""
        record = self._record
        self._by.store.begin_creating(self._id)
        await self._check_file()
        try:
            answer = await self._server().create()
        except ApiError as error:
            if error.code == IDEMPOTENCY_KEY_REUSED:
                # Another version of this program wrote the request: nothing was sent under it.
                raise _Forgotten(error.code) from error
            if is_passing(error):
                raise
            self._by.store.failed(self._id, error.code, message=error.sentence, for_good=True)
            raise UploadFailed(error.code, may_resume=False, message=error.sentence) from error
        terms = Terms.of(answer, record.size)  # nothing is kept of what nobody can go by
        digests = await asyncio.to_thread(
            local_file.chunk_digests, Path(record.path), terms.chunk_size, record.identity
        )
        self._by.store.created(
            self._id, terms.upload_id, terms.media_id, terms.chunk_size, terms.policy, digests
        )
        self._reload()

    async def _send(self, view: View) -> View:
        """Send what is missing and have the file put together; return how it stands then."""
        self._note(view.received)
        try:
            if view.missing:
                await self._check_file()
                await self._sender().send(view.missing)
            self._by.store.begin_completing(self._id)
            return await self._server().ask("POST", "/complete")
        except ApiError as error:
            if error.status != httpx.codes.CONFLICT:
                raise
            missing = missing_in(error, self._record.chunk_count)
        if not missing:  # another request changed its state
            return await self._server().ask("GET")
        return View.without(missing, self._record.chunk_count)

    async def _take_up(self, view: View) -> View:
        """Resume a failed upload; what came out wrong is sent again first."""
        reason = view.failure_reason
        if reason not in RESUMABLE:
            raise self._failure(reason)
        digests: list[str] = []
        if reason == CHECKSUM_MISMATCH:
            if self._record.mends >= MAX_MENDS:
                raise self._failure(reason)
            digests = await asyncio.to_thread(
                local_file.chunk_digests,
                Path(self._record.path),
                self._record.chunk_size,
                self._record.identity,
            )
        try:
            view = await self._server().ask("POST", "/resume")
        except ApiError as error:
            if error.status != httpx.codes.CONFLICT:
                raise
            return await self._server().ask("GET")
        self._note(view.received)
        if digests:
            await self._mend(digests)
        return view

    async def _mend(self, digests: list[str]) -> None:
        """Send the chunks that were read wrongly before; all of them if that was none.

        The server goes by the last that came of each number.
        """
        changed = self._by.store.begin_mending(self._id, digests)
        self._reload()
        await self._sender().send(changed or range(1, len(digests) + 1))

    async def _wait_for_assembly(self) -> View:
        """Ask until the server has put the file together or knows why not."""
        give_up_at = self._by.clock() + POLL_GIVE_UP_SECONDS
        attempt = 0
        while True:
            ceiling = min(POLL_MAX_SECONDS, POLL_FIRST_SECONDS * 2**attempt)
            await self._by.sleep(ceiling)
            self._by.store.check(self._id)
            view = await self._server().ask("GET")
            if view.state != "assembling":
                return view
            if self._by.clock() > give_up_at:
                raise UploadFailed(STILL_ASSEMBLING)
            attempt += 1

    async def _check_file(self) -> None:
        record = self._record
        found = await asyncio.to_thread(
            local_file.identify_again, Path(record.path), record.identity
        )
        if found != record.identity:
            self._by.store.touch(self._id, found)
            self._reload()

    def _server(self) -> UploadRequests:
        return UploadRequests(self._by.api, self._record)

    def _sender(self) -> ChunkSender:
        return ChunkSender(self._record, self._record.agreed_policy, self._by)

    def _note(self, received: Sequence[int]) -> None:
        """Take over from the server which chunks have arrived."""
        self._by.store.arrived(self._id, received)
        self._by.meter.arrived(received)

    def _completed(self) -> UploadRecord:
        self._by.store.completed(self._id)
        return self._reload()

    def _failure(self, reason: str) -> UploadFailed:
        """Keep why it failed; return the error to raise."""
        may_resume = reason in RESUMABLE
        self._by.store.failed(self._id, reason, for_good=not may_resume)
        return UploadFailed(reason, may_resume=may_resume)

    def _begin_anew(self, reason: str) -> None:
        if self._record.restarts >= MAX_RESTARTS:
            self._by.store.failed(self._id, reason)
            # A key that was used before has a sentence of its own: nothing was forgotten.
            known = reason == IDEMPOTENCY_KEY_REUSED
            raise UploadFailed(reason, message="" if known else KEEPS_FORGETTING)
        self._by.store.begin_anew(self._id, str(uuid.uuid4()))
        self._reload()

    def _begin_meter(self) -> None:
        record = self._record
        chunks = self._by.store.chunks(self._id)
        self._by.meter.begin(record.size, record.bytes_in_vain, record.retries, chunks)

    def _reload(self) -> UploadRecord:
        self._record = self._by.store.find(self._id)
        return self._record
