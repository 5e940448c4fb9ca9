"""Giving an upload up at the server, wherever it is."""

from contextlib import suppress

import httpx

from fieldgate_client.chunk_sending import Surroundings
from fieldgate_client.errors import GONE_STATUSES, ApiError, NotUnderstood, is_passing
from fieldgate_client.upload_record import UploadRecord
from fieldgate_client.upload_requests import UploadRequests


async def withdraw(record: UploadRecord, by: Surroundings) -> bool:
    """Give the upload up at the server; False when it had arrived before."""
    server = UploadRequests(by.api, record)
    upload_id = record.upload_id or await _asked_for(server)
    if upload_id is not None and not await _is_deleted(server, upload_id):
        by.store.completed(record.id)
        return False
    by.store.cancelled(record.id)
    return True


async def _asked_for(server: UploadRequests) -> str | None:
    """Return the id of what was asked for, and the answer lost: the same key names it."""
    try:
        answer = await server.create()
    except ApiError as error:
        if is_passing(error):
            raise
    else:
        # Without a name nobody can give it up: the server's clean-up will.
        with suppress(NotUnderstood):
            return answer.fields.name("uploadId")
    return None


async def _is_deleted(server: UploadRequests, upload_id: str) -> bool:
    try:
        await server.delete(upload_id)
    except ApiError as error:
        if error.status == httpx.codes.CONFLICT:
            return False
        if error.status not in GONE_STATUSES:
            raise
        return not await _has_arrived_for_all_we_know(server)
    return True


async def _has_arrived_for_all_we_know(server: UploadRequests) -> bool:
    try:
        return await server.has_arrived()
    except NotUnderstood:
        return False  # it is gone; asking for ever would keep the others
