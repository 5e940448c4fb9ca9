"""Uploads in chunks, measured beside @tus/server with @tus/s3-store on the same storage.

    python -m benchmarks.uploads [--runs 5] [--faults 300] [--seed N] [--without-tus]

The reference client sends files of 50 MiB in chunks of 512 KiB through the real functions, to a
storage that counts at its gate; everything is on this machine. Exit code 1 when a limit below is
broken. Times are by the clock, on a machine that does all the work at once: client, functions,
database, storage; those over their limit are taken anew, since it may be busy with something else.
Signing is the whole function, from the gateway's event to its answer; its limit is on the
processor's time, since by the clock it waits for whoever else has the processor.
"""

import argparse
import asyncio
import hashlib
import os
import random
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from aiohttp import web
from rich.console import Console

from benchmarks import tus_server, upload_faults
from benchmarks.command_line import parser
from benchmarks.phone import FOLDER, new_document, phone
from benchmarks.results import Comparison, Section, publish
from benchmarks.traffic import operation
from benchmarks.tus_server import TusUpload
from benchmarks.upload_service import Service, running
from local.faults import FaultMode
from local.template import REGION
from tests.support.gateway import LambdaContext, authorized, http_event

SIZE = 50 * 1024**2
CHUNK = 512 * 1024
CHUNKS = SIZE // CHUNK
BATCH = 32
SIGNINGS = 200
CUTS = 20
SMALL = 5 * 1024**2
BROKEN_PUT = 6  # of the chunks, the one that fails where one request does
TRIES = 2  # to find the machine idle
TUS_BUCKET = "tus"

_say = Console(stderr=True).print


@dataclass
class Figure:
    """What it may come to at most, what ours came to, what tus did."""

    name: str
    unit: str
    limit: float | None = None
    ours: list[float] = field(default_factory=list)
    tus: list[float] = field(default_factory=list)

    @property
    def is_broken(self) -> bool:
        return self.limit is not None and statistics.median(self.ours) > self.limit

    def compared(self) -> Comparison:
        goal = "" if self.limit is None else f"at most {self.limit:g}"
        met = None if self.limit is None else not self.is_broken
        against = "@tus/s3-store" if self.tus else ""
        return Comparison(self.name, self.unit, self.ours, self.tus, against, goal, met)


class Figures:
    """All that is measured here."""

    def __init__(self) -> None:
        self.requests = Figure("to and from storage", "requests", limit=220)
        self.bytes = Figure("bytes to and from storage", "times the file", limit=3.1)
        self.seconds = Figure("from start to stored", "s")
        self.assembly = Figure("putting it together", "s", limit=3)
        self.signing = Figure(f"signing {BATCH} chunks, of processor", "ms", limit=5)
        self.signing_waited = Figure("the same, by the clock", "ms")
        self.cuts = Figure("sent again, per cut connection", "chunks", limit=1)
        self.one_fault = Figure("acknowledged and lost, 1 refused PUT", "bytes", limit=0)
        self.storm = Figure("acknowledged and lost, random faults", "bytes", limit=0)

    def measured(self) -> list[Figure]:
        return [figure for figure in vars(self).values() if figure.ours]


def main() -> int:
    arguments = _arguments()
    figures = Figures()
    notes = []
    with (
        tempfile.TemporaryDirectory(prefix="fieldgate-uploads-") as folder,
        running(Path(folder)) as service,
    ):
        directory = Path(folder)
        with nullcontext() if arguments.without_tus else _tus(service, directory) as tus:
            for _ in range(TRIES):
                _say(f"{arguments.runs} files of 50 MiB in chunks of 512 KiB, and by tus, in turns")
                notes = send_files_in_turns(service, directory, figures, arguments.runs, tus)
                if not figures.assembly.is_broken:
                    break
            if tus:
                figures.one_fault.tus.append(tus.refuse_one_put(service))
        for _ in range(TRIES):
            sign(service, figures)
            if not figures.signing.is_broken:
                break
        _say(f"{CUTS} connections cut")
        cut_connections(service, directory, figures, arguments.runs)
        refuse_one_put(service, directory, figures)
        if arguments.faults:
            _say(f"{arguments.faults} random faults, seed {arguments.seed}")
            storm = asyncio.run(
                upload_faults.send_through_storm(
                    service, directory, arguments.faults, arguments.seed
                )
            )
            figures.storm.ours.append(storm.lost_bytes)
            notes.append(str(storm))
    return publish(section(figures, notes))


def send_files_in_turns(
    service: Service, directory: Path, figures: Figures, runs: int, tus: "Tus | None"
) -> list[str]:
    """Send whole files by ours and by tus; returns which requests that took."""
    for figure in (figures.seconds, figures.assembly, figures.requests, figures.bytes):
        figure.ours.clear()
        figure.tus.clear()
    of_ours = of_tus = ""
    for _ in range(runs):
        service.counting.restart()
        figures.seconds.ours.append(_seconds(lambda: asyncio.run(_send(service, directory, SIZE))))
        # The file counts as stored before its chunks are removed, which is counted as well.
        figures.assembly.ours.append(service.assembly_seconds.get(timeout=60))
        figures.requests.ours.append(service.counting.traffic.count)
        figures.bytes.ours.append(service.counting.traffic.bytes / SIZE)
        of_ours = f"Ours: {service.counting.traffic}."
        if tus:
            service.counting.restart()
            figures.seconds.tus.append(_seconds(tus.send))
            figures.requests.tus.append(service.counting.traffic.count)
            figures.bytes.tus.append(service.counting.traffic.bytes / SIZE)
            of_tus = f"tus: {service.counting.traffic}; and the file from the phone to its server."
    return [said for said in (of_ours, of_tus) if said]


class Tus:
    """@tus/server over @tus/s3-store on the service's storage, and a client of it."""

    def __init__(self, client: httpx.Client, server: str) -> None:
        self._client, self._server = client, server
        self._content = os.urandom(SIZE)

    def send(self) -> None:
        """Send a whole file."""
        upload = TusUpload(self._client, self._server, self._content)
        while upload.offset < SIZE:
            assert upload.send(CHUNK)

    def refuse_one_put(self, service: Service) -> int:
        """Do what `refuse_one_put` does; returns the bytes that were acknowledged and are lost."""
        upload = TusUpload(self._client, self._server, self._content)
        with service.faults.chosen_by(_befalling_puts({BROKEN_PUT - 1}, "error")):
            while upload.send(CHUNK):
                pass
        return upload.offset - upload.known_offset()


@contextmanager
def _tus(service: Service, directory: Path) -> Iterator[Tus]:
    place = {"LocationConstraint": REGION}
    service.cloud.client("s3").create_bucket(Bucket=TUS_BUCKET, CreateBucketConfiguration=place)
    with (
        tus_server.running(directory, service.storage_url, TUS_BUCKET) as server,
        httpx.Client(timeout=60) as client,
    ):
        yield Tus(client, server)


def sign(service: Service, figures: Figures) -> None:
    """Have the function sign a batch again and again, as in a warm environment."""
    from uploads import sign_chunks  # noqa: PLC0415 - it reads the environment

    headers, upload_id = _begin_upload(service)
    chunks = [
        {"number": number, "sha256": hashlib.sha256(bytes([number])).hexdigest()}
        for number in range(1, BATCH + 1)
    ]
    event = http_event(
        "POST",
        f"/api/v1/uploads/{upload_id}/urls",
        body=httpx.Request("POST", "http://host", json={"chunks": chunks}).content,
        authorizer=authorized(headers["Authorization"]),
    )
    figures.signing.ours.clear()
    figures.signing_waited.ours.clear()
    for _ in range(SIGNINGS):
        began, began_work = time.perf_counter(), time.thread_time()
        answer = sign_chunks.handler(event, LambdaContext())
        figures.signing.ours.append((time.thread_time() - began_work) * 1000)
        figures.signing_waited.ours.append((time.perf_counter() - began) * 1000)
        assert answer["statusCode"] == 200, answer


def cut_connections(service: Service, directory: Path, figures: Figures, runs: int) -> None:
    """Cut connections in the middle of chunks, and count those that are sent again."""
    for _ in range(runs):
        chosen = set(random.sample(range(CHUNKS), CUTS))
        service.counting.restart()
        with service.faults.chosen_by(_befalling_puts(chosen, "cut")):
            asyncio.run(_send(service, directory, SIZE))
        again = service.counting.traffic.requests["PutObject"] - CHUNKS
        figures.cuts.ours.append(again / CUTS)


def refuse_one_put(service: Service, directory: Path, figures: Figures) -> None:
    """Let one request fail, and count what was acknowledged and is wanted again all the same."""
    service.counting.restart()
    with service.faults.chosen_by(_befalling_puts({BROKEN_PUT - 1}, "error")):
        asyncio.run(_send(service, directory, SMALL))
    again = service.counting.acknowledged.total() - len(service.counting.acknowledged)
    figures.one_fault.ours.append(again * CHUNK)


def _befalling_puts(chosen: set[int], mode: FaultMode) -> Callable[[web.Request], FaultMode | None]:
    """Return a choice of `mode` for the PUTs of these numbers, from 0, and for nothing else."""
    puts = iter(range(sys.maxsize))

    def choose(request: web.Request) -> FaultMode | None:
        return mode if operation(request) == "PutObject" and next(puts) in chosen else None

    return choose


def _seconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def section(figures: Figures, notes: list[str]) -> Section:
    """Return the figures as they are published."""
    return Section(
        "uploads",
        "Uploads in chunks",
        "A file of 50 MiB in chunks of 512 KiB: the reference client through the real functions,"
        " and @tus/server with @tus/s3-store, both to the same storage, which counts at its gate."
        " Client, functions, database and storage share this machine. Signing is the whole"
        " function, from the gateway's event to its answer.",
        [figure.compared() for figure in figures.measured()],
        notes=notes,
    )


async def _send(service: Service, directory: Path, size: int) -> None:
    path = new_document(directory, size)
    async with phone(service, directory, chunk_bytes=CHUNK) as uploads:
        await uploads.run(await uploads.add(path, FOLDER))
    path.unlink()


def _begin_upload(service: Service) -> tuple[dict[str, str], str]:
    """Sign in and begin an upload; returns the headers of a signed-in caller, and its id."""
    credentials = {"identifier": service.identifier, "password": service.password}
    wanted = {"folder": FOLDER, "filename": "a.pdf", "contentType": "application/pdf", "size": SIZE}
    with httpx.Client(base_url=f"{service.url}/api/v1", timeout=30) as client:
        token = client.post("auth/login", json=credentials).json()["data"]["accessToken"]
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": str(uuid.uuid4())}
        answer = client.post("uploads", json=wanted, headers=headers)
    return headers, answer.json()["data"]["uploadId"]


def _arguments() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--faults", type=int, default=300, help="0: none")
    made.add_argument("--seed", type=int, default=random.randrange(10**6))
    made.add_argument("--without-tus", action="store_true")
    return made.parse_args()


if __name__ == "__main__":
    sys.exit(main())
