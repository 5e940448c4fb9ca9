"""A phone: the reference client, with files of its own to send."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.upload_service import Service
from fieldgate_client.api import Api
from fieldgate_client.database import Database
from fieldgate_client.tokens import TokenStore
from fieldgate_client.uploads import UploadManager

FOLDER = "client-documents"
# What the client takes for Wi-Fi.
PARALLEL = 4
# Instead of the seconds that the client waits before it tries again; it is not waiting that is
# measured here.
LONGEST_PAUSE_SECONDS = 0.02


@asynccontextmanager
async def phone(
    service: Service, directory: Path, *, chunk_bytes: int = 512 * 1024
) -> AsyncIterator[UploadManager]:
    """Yield the client as it starts on a phone whose memory is `directory`, signed in."""
    with Database(directory / "phone/client.db") as database:
        tokens = TokenStore(database)
        async with Api(service.url, tokens, sleep=_pause) as api:
            if tokens.load(api.server) is None:
                await api.login(service.identifier, service.password)
            yield UploadManager(
                api,
                database,
                chunk_bytes=chunk_bytes,
                parallel=lambda: PARALLEL,
                sleep=_pause,
            )


def new_document(directory: Path, size: int) -> Path:
    """Write a file that passes for a PDF and is like no other."""
    path = directory / f"{os.urandom(8).hex()}.pdf"
    start = b"%PDF-1.7\n"
    path.write_bytes(start + os.urandom(size - len(start)))
    return path


async def _pause(seconds: float) -> None:
    await asyncio.sleep(min(seconds, LONGEST_PAUSE_SECONDS))
