"""The demo's second part: a document on a network that breaks, sent by the reference client.

The client is a process of its own, as an app is, and is killed like one.
"""

import asyncio
import hashlib
import shutil
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
from PIL import Image
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
from rich.table import Table

from fieldgate_client.database import Database
from fieldgate_client.tokens import Tokens, TokenStore
from fieldgate_client.upload_record import UploadRecord
from fieldgate_client.upload_store import UploadStore
from local.child import tied
from local.demo_story import DOWNLOADS, DemoFailed, Story, data_of

DOCUMENT_BYTES = 20_000_000
PAGE_PIXELS = (1240, 1754)  # A4 at 150 dots an inch
LOOK_SECONDS = 0.02
ARRIVAL_SECONDS = 180

# At which share of the document what befalls it: a mode of the stack's fault switches and for how
# long, or the client's death.
TROUBLES: list[tuple[float, str, float]] = [
    (0.10, "cut", 0.2),
    (0.25, "slow", 2.0),
    (0.40, "kill", 0.0),
    (0.50, "expired", 0.5),
    (0.65, "lost", 0.2),
    (0.80, "down", 1.0),
]
SENTENCES = {
    "cut": "the network drops in the middle of chunks",
    "slow": "everything takes two seconds longer",
    "kill": "the app is killed (SIGKILL), and started again",
    "expired": "the URLs have expired",
    "lost": "chunks arrive, and their answers don't",
    "down": "storage can't be reached at all",
}


async def send_document(
    phone: httpx.AsyncClient, story: Story, tokens: Mapping[str, Any]
) -> tuple[Path, dict[str, Any]]:
    """Send a document through one trouble after the other; return it and its media."""
    with story.step("The agent scans a contract"):
        document = await asyncio.to_thread(_scan, DOWNLOADS / "contract.pdf")
        story.console.print(f"  contract.pdf, {document.stat().st_size:,} bytes")
    home = DOWNLOADS / "phone"
    shutil.rmtree(home, ignore_errors=True)
    server = str(phone.base_url).rstrip("/")
    with Database(home / "client.db") as database:
        TokenStore(database).save(server, _tokens(tokens))
        with story.step("and sends it in chunks, on a bad network"):
            sent = await _send(phone, story, database, [server, str(home), str(document)])
        with story.step("It has arrived once, and whole"):
            media = data_of(await phone.get(f"/api/v1/media/{sent.media_id}"))
            # Without the token: the address itself is signed.
            answer = await phone.get(media["url"], headers={"Authorization": ""})
            answer.raise_for_status()
            if hashlib.sha256(answer.content).hexdigest() != sent.sha256:
                raise DemoFailed("What was stored is not what was sent.")
        _show(story, database, sent)
    return document, media


async def _send(
    phone: httpx.AsyncClient, story: Story, database: Database, arguments: list[str]
) -> UploadRecord:
    """Run the client until the document has arrived; return what it knows of the upload."""
    app = await _start(*arguments)
    columns = (TextColumn("  {task.description}"), BarColumn(), DownloadColumn())
    try:
        async with asyncio.timeout(ARRIVAL_SECONDS):
            with Progress(*columns, console=story.console) as progress:
                bar = progress.add_task("contract.pdf", total=DOCUMENT_BYTES)
                troubles = list(TROUBLES)
                while True:
                    upload, arrived = _look(database)
                    progress.update(bar, completed=arrived)
                    if upload is not None:
                        progress.update(bar, total=upload.size)
                        if upload.state == "completed":
                            return upload
                        if troubles and arrived >= troubles[0][0] * upload.size:
                            _, trouble, seconds = troubles.pop(0)
                            progress.console.print(f"  {SENTENCES[trouble]}")
                            if trouble == "kill":
                                app.kill()
                                await app.wait()
                                app = await _start(*arguments)
                            else:
                                await _break_storage(phone, trouble, seconds)
                    if app.returncode:
                        said, _ = await app.communicate()
                        raise DemoFailed(f"The app gave up: {said.decode()}")
                    await asyncio.sleep(LOOK_SECONDS)
    except TimeoutError:
        raise DemoFailed(f"The document has not arrived in {ARRIVAL_SECONDS} s.") from None
    finally:
        with suppress(ProcessLookupError):
            app.terminate()
        await app.wait()


async def _break_storage(phone: httpx.AsyncClient, mode: str, seconds: float) -> None:
    fault = {"target": "s3", "mode": mode, "seconds": seconds}
    (await phone.post("/_local/faults", json=fault)).raise_for_status()


async def _start(server: str, home: str, document: str) -> asyncio.subprocess.Process:
    command = [str(Path(sys.executable).with_name("fieldgate")), "upload", document]
    options = ["--folder", "client-documents", "--server", server, "--home", home]
    return await asyncio.create_subprocess_exec(
        *tied([*command, *options]),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


def _look(database: Database) -> tuple[UploadRecord | None, int]:
    """Return the one upload of this phone, once there is one, and the bytes that have arrived."""
    row = database.row("SELECT id FROM uploads")
    if row is None:
        return None, 0
    uploads = UploadStore(database)
    chunks = uploads.chunks(row["id"])
    return uploads.find(row["id"]), sum(chunk.length for chunk in chunks if chunk.acknowledged)


def _scan(path: Path) -> Path:
    """Write a PDF of noisy pages, which nothing makes smaller; return `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    first = Image.effect_noise(PAGE_PIXELS, 200)
    first.save(path, "PDF", quality=95, resolution=150)
    more = round(DOCUMENT_BYTES / path.stat().st_size) - 1
    others = (Image.effect_noise(PAGE_PIXELS, 200) for _ in range(more))
    first.save(path, "PDF", save_all=True, append_images=others, quality=95, resolution=150)
    return path


def _tokens(answer: Mapping[str, Any]) -> Tokens:
    return Tokens(
        user_id=answer["user"]["id"],
        access_token=answer["accessToken"],
        refresh_token=answer["refreshToken"],
        expires_in=answer["expiresIn"],
    )


def _show(story: Story, database: Database, sent: UploadRecord) -> None:
    chunks = UploadStore(database).chunks(sent.id)
    went_out = sum(chunk.sent_bytes for chunk in chunks) + sent.bytes_in_vain
    table = Table("", "bytes", title="What the bad network cost")
    table.add_row(f"the document, {len(chunks)} chunks of {sent.chunk_size:,}", f"{sent.size:,}")
    table.add_row("what the phone sent", f"{went_out:,}")
    table.add_row("sent more than once", f"{went_out - sent.size:,}")
    again = sum(-(-chunk.sent_bytes // chunk.length) - 1 for chunk in chunks)
    story.console.print(table)
    story.console.print(
        f"{again} times a chunk went out again: each trouble costs the chunks under way, four at"
        " most, and what is tried while it lasts."
    )
