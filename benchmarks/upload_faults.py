"""A storm of random faults, and whether anything that was acknowledged is lost in it.

    python -m benchmarks.upload_faults [FAULTS] [SEED]

Files are sent one after another while requests of the phone, of the functions and of the assembler
break: cut in the middle of what is sent, done but never answered, refused, expired; and the phone's
client is stopped and starts anew from what its database knows. What storage answered 200 to, for
the phone to see, is acknowledged; lost is what is not in the file that is stored at last. Exit code
1 when anything is, or a file doesn't arrive; the seed draws the same faults again, though not for
the same requests, since they race.
"""

import asyncio
import hashlib
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from sqlalchemy import select

from benchmarks.phone import FOLDER, new_document, phone
from benchmarks.upload_gateway import ApiFault
from benchmarks.upload_service import STAGING, Service, running
from fieldgate.db import engine
from fieldgate.db.tables.uploads import uploads
from fieldgate_client.errors import ClientError
from fieldgate_client.uploads import Finished
from local.faults import FaultMode
from uploads import staged_chunks

FAULTS = 1000
# How many of the requests break: chunks at every turn, the others so seldom that work ends.
SHARES = {"chunk": 0.3, "storage": 0.1, "API": 0.1}
STOPS_SHARE = 0.01  # of all requests stop the client instead
CHUNK_BYTES = 100 * 1024
SMALLEST, LARGEST = 20 * 1024, 3 * 1024**2
MOST_RUNS = 500


class NotArrived(Exception):
    """A file did not arrive at all."""


@dataclass
class Storm:
    """What has happened; `sent_again` counts chunks that had been acknowledged."""

    seed: int
    faults: Counter[str] = field(default_factory=Counter)
    files: int = 0
    acknowledged_bytes: int = 0
    lost_bytes: int = 0
    sent_again: int = 0
    seconds: float = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self.stop: Callable[[], object] = lambda: None

    def choose(self, request: web.Request) -> FaultMode | None:
        """Say what befalls a request to storage."""
        if "X-Amz-Signature" in request.query:
            return self._draw("chunk", ["cut", "lost", "error", "expired"])
        modes: list[FaultMode] = ["lost", "error"]
        if request.method == "PUT":
            modes.append("cut")
        return self._draw("storage", modes)

    def choose_api_fault(self) -> ApiFault | None:
        """Say what befalls a request to the API."""
        return self._draw("API", ["cut", "lost", "error"])

    def size(self) -> int:
        """Draw a file's size."""
        return self._random.randint(SMALLEST, LARGEST)

    def __str__(self) -> str:
        """Tell it in a line."""
        kinds = ", ".join(f"{count} {name}" for name, count in self.faults.most_common())
        return (
            f"{self.faults.total()} faults of seed {self.seed} in {self.seconds:.0f} s: {kinds};"
            f" {self.files} files arrived, of {self.acknowledged_bytes:,} acknowledged bytes"
            f" {self.lost_bytes:,} were lost, {self.sent_again:,} acknowledged chunks sent again."
        )

    def _draw[T: str](self, target: str, modes: list[T]) -> T | None:
        if self._random.random() < STOPS_SHARE:
            self.faults["client stopped"] += 1
            self.stop()
        if self._random.random() >= SHARES[target]:
            return None
        mode = self._random.choice(modes)
        self.faults[f"{target} {mode}"] += 1
        return mode


async def send_through_storm(service: Service, directory: Path, faults: int, seed: int) -> Storm:
    """Send files until so many faults have happened.

    Raises:
        NotArrived: with the seed that led there.

    """
    storm = Storm(seed)
    began = time.monotonic()
    with service.faults.chosen_by(storm.choose):
        service.choose_api_fault = storm.choose_api_fault
        try:
            while storm.faults.total() < faults:
                service.counting.restart()
                await _send_one(service, directory, storm)
        finally:
            service.choose_api_fault = lambda: None
    storm.seconds = time.monotonic() - began
    return storm


async def _send_one(service: Service, directory: Path, storm: Storm) -> None:
    path = new_document(directory, storm.size())
    finished = await _send(service, directory, path, storm)
    content = path.read_bytes()
    path.unlink()
    with engine.database().engine.connect() as connection:
        row = connection.execute(
            select(uploads.c.id, uploads.c.object_key, uploads.c.chunk_size).where(
                uploads.c.media_id == finished.media_id
            )
        ).one()
    stored = service.stored(row.object_key)
    acknowledged = service.counting.acknowledged
    for start in range(0, len(content), row.chunk_size):
        chunk = content[start : start + row.chunk_size]
        if stored[start : start + row.chunk_size] != chunk:
            storm.lost_bytes += len(chunk)
        number = start // row.chunk_size + 1
        key = staged_chunks.key_of(row.id, number, hashlib.sha256(chunk).digest())
        if times := acknowledged[f"/{STAGING}/{key}"]:
            storm.acknowledged_bytes += len(chunk)
            storm.sent_again += times - 1
    storm.lost_bytes += max(0, len(stored) - len(content))  # more than was sent is no better
    storm.files += 1


async def _send(service: Service, directory: Path, path: Path, storm: Storm) -> Finished:
    """Have the client send a file, started again as often as it is stopped or gives up."""
    loop = asyncio.get_running_loop()
    error: BaseException | None = None
    for _ in range(MOST_RUNS):
        run = asyncio.create_task(_run(service, directory, path))
        # The faults are drawn in the servers' thread.
        storm.stop = lambda run=run: loop.call_soon_threadsafe(run.cancel)  # type: ignore[misc]
        await asyncio.wait([run])
        if not run.cancelled() and (error := run.exception()) is None:
            return run.result()
        if not run.cancelled() and not isinstance(error, ClientError):
            break
    raise NotArrived(f"{path.name} did not arrive; {storm}") from error


async def _run(service: Service, directory: Path, path: Path) -> Finished:
    async with phone(service, directory, chunk_bytes=CHUNK_BYTES) as uploads:
        return await uploads.run(await uploads.add(path, FOLDER))


def main() -> int:
    given = [int(word) for word in sys.argv[1:]]
    faults = given[0] if given else FAULTS
    seed = given[1] if len(given) > 1 else random.randrange(10**6)
    with (
        tempfile.TemporaryDirectory(prefix="fieldgate-faults-") as folder,
        running(Path(folder)) as service,
    ):
        storm = asyncio.run(send_through_storm(service, Path(folder), faults, seed))
    print(storm)
    return 1 if storm.lost_bytes else 0


if __name__ == "__main__":
    sys.exit(main())
