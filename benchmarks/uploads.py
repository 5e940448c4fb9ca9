"""Uploads in chunks, measured beside @tus/server with @tus/s3-store on the same storage.

    python -m benchmarks.uploads [--runs 5] [--faults 1000] [--seed N] [--without-tus]

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
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from aiohttp import web
from rich.console import Console
from rich.table import Table

from benchmarks import tus_server, upload_faults
from benchmarks.phone import FOLDER, new_document, phone
from benchmarks.service import Service, running
from benchmarks.traffic import operation
from benchmarks.tus_server import TusUpload
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
TRIES = 3  # to find the machine idle
TUS_BUCKET = "tus"

_say = Console(stderr=True).print


@dataclass
class Figure:
    """A line of the table: what it may come to at most, what ours came to, what tus did."""

    name: str
    form: str = "{:,.0f}"
    limit: float | None = None
    ours: list[float] = field(default_factory=list)
    tus: list[float] = field(default_factory=list)

    @property
    def is_broken(self) -> bool:
        return self.limit is not None and statistics.median(self.ours) > self.limit

    def cells(self) -> list[str]:
        limit = "" if self.limit is None else self.form.format(self.limit)
        verdict = "" if self.limit is None else "broken" if self.is_broken else "holds"
        return [self.name, *self._shown(self.ours), limit, verdict, *self._shown(self.tus)]

    def _shown(self, values: list[float]) -> tuple[str, str]:
        if not values:
            return "", ""
        least, most = self.form.format(min(values)), self.form.format(max(values))
        median = self.form.format(statistics.median(values))
        return median, "" if least == most else f"{least} - {most}"


class Figures:
    """All that is measured here."""

    def __init__(self) -> None:
        self.requests = Figure("storage requests", limit=220)
        self.bytes = Figure("bytes to and from storage, files", "{:.2f}", limit=3.1)
        self.seconds = Figure("seconds from start to stored", "{:.2f}")
        self.assembly = Figure("seconds to put it together", "{:.2f}", limit=3)
        self.signing = Figure(f"ms to sign {BATCH} chunks, of processor", "{:.2f}", limit=5)
        self.signing_waited = Figure("the same, by the clock", "{:.2f}")
        self.cuts = Figure("chunks sent again, per cut connection", "{:.2f}", limit=1)
        self.one_fault = Figure("acknowledged bytes lost, 1 refused PUT", limit=0)
        self.storm = Figure("acknowledged bytes lost, random faults", limit=0)

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
        _say(f"{arguments.runs} files of 50 MiB in chunks of 512 KiB")
        for _ in range(TRIES):
            said = send_files(service, directory, figures, arguments.runs)
            if not figures.assembly.is_broken:
                break
        notes.append(f"ours: {said}")
        for _ in range(TRIES):
            sign(service, figures)
            if not figures.signing.is_broken:
                break
        _say(f"{CUTS} connections cut")
        cut_connections(service, directory, figures, arguments.runs)
        refuse_one_put(service, directory, figures)
        if not arguments.without_tus:
            _say("the same by @tus/server and @tus/s3-store")
            said = send_files_by_tus(service, directory, figures, arguments.runs)
            notes.append(f"tus: {said}; and the file once more, from the phone to its server")
        if arguments.faults:
            _say(f"{arguments.faults} random faults, seed {arguments.seed}")
            storm = asyncio.run(
                upload_faults.send_through_storm(
                    service, directory, arguments.faults, arguments.seed
                )
            )
            figures.storm.ours.append(storm.lost_bytes)
            notes.append(str(storm))
    _show(figures, notes)
    return 1 if any(figure.is_broken for figure in figures.measured()) else 0


def send_files(service: Service, directory: Path, figures: Figures, runs: int) -> str:
    """Send whole files; returns which requests that took."""
    for figure in (figures.seconds, figures.assembly, figures.requests, figures.bytes):
        figure.ours.clear()
    for _ in range(runs):
        service.counting.restart()
        began = time.perf_counter()
        asyncio.run(_send(service, directory, SIZE))
        figures.seconds.ours.append(time.perf_counter() - began)
        # The file counts as stored before its chunks are removed, which is counted as well.
        figures.assembly.ours.append(service.assembly_seconds.get(timeout=60))
        figures.requests.ours.append(service.counting.traffic.count)
        figures.bytes.ours.append(service.counting.traffic.bytes / SIZE)
    return str(service.counting.traffic)


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


def send_files_by_tus(service: Service, directory: Path, figures: Figures, runs: int) -> str:
    """Do by tus what `send_files` and `refuse_one_put` do; returns which requests that took."""
    place = {"LocationConstraint": REGION}
    service.cloud.client("s3").create_bucket(Bucket=TUS_BUCKET, CreateBucketConfiguration=place)
    with (
        tus_server.running(directory, service.storage_url, TUS_BUCKET) as server,
        httpx.Client(timeout=60) as client,
    ):
        content = os.urandom(SIZE)
        for _ in range(runs):
            service.counting.restart()
            began = time.perf_counter()
            upload = TusUpload(client, server, content)
            while upload.offset < SIZE:
                assert upload.send(CHUNK)
            figures.seconds.tus.append(time.perf_counter() - began)
            figures.requests.tus.append(service.counting.traffic.count)
            figures.bytes.tus.append(service.counting.traffic.bytes / SIZE)
        said = str(service.counting.traffic)
        upload = TusUpload(client, server, content)
        with service.faults.chosen_by(_befalling_puts({BROKEN_PUT - 1}, "error")):
            while upload.send(CHUNK):
                pass
        figures.one_fault.tus.append(upload.offset - upload.known_offset())
    return said


def _befalling_puts(chosen: set[int], mode: FaultMode) -> Callable[[web.Request], FaultMode | None]:
    """Return a choice of `mode` for the PUTs of these numbers, from 0, and for nothing else."""
    puts = iter(range(sys.maxsize))

    def choose(request: web.Request) -> FaultMode | None:
        return mode if operation(request) == "PutObject" and next(puts) in chosen else None

    return choose


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


def _show(figures: Figures, notes: list[str]) -> None:
    table = Table("", "median", "spread", "at most", "", "@tus/s3-store", "spread")
    for figure in figures.measured():
        table.add_row(*figure.cells(), style="bold red" if figure.is_broken else "")
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(table)
    for note in notes:
        console.print(note)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.uploads")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--faults", type=int, default=upload_faults.FAULTS, help="0: none")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--without-tus", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
