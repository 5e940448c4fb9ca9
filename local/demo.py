"""`make demo`: a photo, a document on a bad network, stock that expires, and who hears of it."""

import asyncio
import io
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from PIL import Image
from PIL.ExifTags import IFD, Base
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
from rich.table import Column, Table

from local.accounts import PASSWORD, PHONES
from local.child import tied
from local.demo_document import send_document
from local.demo_office import listening_office
from local.demo_stock import tell_of_stock
from local.demo_story import DOWNLOADS, DemoFailed, Story, data_of
from local.sample_photo import camera_jpeg
from local.stack_settings import StackSettings
from local.template import ROOT
from uploads.file_rules import PHOTO_TYPES

PIECE_BYTES = 64 * 1024
READY_SECONDS = 60
TEXT_SECONDS = 30


async def run() -> int:
    """Tell the story against a stack that runs, or one started for it; returns the exit code."""
    settings = StackSettings.from_environment()
    name, photo = _photo()
    telling = asyncio.current_task()
    assert telling is not None
    # Ctrl-C is asyncio's own; being asked to end otherwise must stop the stack as well.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, telling.cancel)
    story = Story()
    async with (
        _stack(settings, story),
        httpx.AsyncClient(base_url=settings.url, timeout=30) as phone,
    ):
        try:
            async with listening_office(phone, story) as office:
                tokens = await _sign_in(phone, story)
                media = await _upload(phone, story, name, photo)
                with story.step("The office has heard of it"):
                    await office.until_it_heard(media["id"], "ready")
                pictures = await _download(phone, story, media)
                _show_pictures(story, name, photo, pictures)
                async with office.away():
                    story.console.print("The office loses its network")
                    _, document = await send_document(phone, story, tokens)
                with story.step("The office's network is back, and it catches up"):
                    await office.until_it_caught_up(document["id"], "stored")
                office.show()
                await tell_of_stock(phone, story, office)
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise DemoFailed(f"Asking {error.request.url.host} failed: {reason}") from None
    _show_times(story)
    story.console.print(
        f"[green]Done.[/green] The photo is {media['state']}, the document {document['state']}."
    )
    return 0


async def _sign_in(phone: httpx.AsyncClient, story: Story) -> dict[str, Any]:
    """Sign the agent in by a code, or by password when the number has had its codes for now."""
    number = PHONES["agent"]
    with story.step("An agent asks for a code"):
        answer = await phone.post("/api/v1/otp/send", json={"phone": number, "purpose": "login"})
    if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
        seconds = answer.headers["Retry-After"]
        story.console.print(f"  {number} gets its next code in {seconds} s at the earliest")
        with story.step("and signs in by password instead"):
            credentials = {"identifier": number, "password": PASSWORD}
            tokens = data_of(await phone.post("/api/v1/auth/login", json=credentials))
    else:
        challenge = data_of(answer)
        with story.step("A text arrives"):
            text = await _text_to(phone, number)
            story.console.print(f"  to {number}: {text}")
        with story.step("Its code signs the agent in"):
            typed = {"challengeId": challenge["challengeId"], "code": _code_in(text)}
            tokens = data_of(await phone.post("/api/v1/otp/verify", json=typed))
    phone.headers["Authorization"] = f"Bearer {tokens['accessToken']}"
    story.console.print(f"  {tokens['user']['name']}, {', '.join(tokens['user']['roles'])}")
    return tokens


async def _text_to(phone: httpx.AsyncClient, number: str) -> str:
    """Return the newest text in the stand-in's inbox, once there is one from the last seconds."""
    asked_at = datetime.now(UTC) - timedelta(seconds=5)
    give_up = time.monotonic() + TEXT_SECONDS
    while time.monotonic() < give_up:
        texts = (await phone.get("/_local/sms", params={"phone": number})).json()
        if texts and datetime.fromisoformat(texts[0]["at"]) > asked_at:
            return str(texts[0]["text"])
        await asyncio.sleep(0.1)
    raise DemoFailed(f"No text to {number} arrived within {TEXT_SECONDS} s.")


def _code_in(text: str) -> str:
    found = re.search(r"\b\d{6}\b", text)
    if not found:
        raise DemoFailed(f"There is no code in the text: {text}")
    return found[0]


async def _upload(
    phone: httpx.AsyncClient, story: Story, name: str, photo: bytes
) -> dict[str, Any]:
    with story.step("The phone asks where to send the photo"):
        wish = {
            "folder": "farmers",
            "filename": name,
            "contentType": PHOTO_TYPES.get(Path(name).suffix.lower(), "unknown"),
            "size": len(photo),
        }
        upload = data_of(await phone.post("/api/v1/uploads/presign", json=wish))
        story.console.print(f"  media {upload['mediaId']}, until {upload['expiresAt']}")
    with story.step("and sends it straight to storage"):
        async with httpx.AsyncClient(timeout=60) as storage:
            answer = await storage.request(
                upload["method"],
                upload["url"],
                headers=upload["headers"],
                content=_pieces(story.console, photo),
            )
        if answer.is_error:
            raise DemoFailed(f"Storage refused the photo: {answer.status_code} {answer.text}")
    with story.step("Storage's event wakes the image function"):
        return await _processed(phone, upload["mediaId"])


async def _processed(phone: httpx.AsyncClient, media_id: str) -> dict[str, Any]:
    give_up = time.monotonic() + READY_SECONDS
    while time.monotonic() < give_up:
        media = data_of(await phone.get(f"/api/v1/media/{media_id}"))
        if media["state"] == "rejected":
            raise DemoFailed(f"The photo was rejected: {media['rejectedReason']}")
        if media["state"] == "ready":
            return media
        await asyncio.sleep(0.25)  # within the limit of reads
    raise DemoFailed(f"The photo is not ready after {READY_SECONDS} s.")


async def _download(
    phone: httpx.AsyncClient, story: Story, media: dict[str, Any]
) -> dict[str, Path]:
    DOWNLOADS.mkdir(parents=True, exist_ok=True)
    pictures = {}
    with story.step("The app fetches the finished pictures"):
        for name, variant in media["variants"].items():
            # Without the token: the address itself is signed.
            answer = await phone.get(variant["url"], headers={"Authorization": ""})
            answer.raise_for_status()
            pictures[name] = DOWNLOADS / f"{name}.jpg"
            pictures[name].write_bytes(answer.content)
    return pictures


async def _pieces(console: Console, photo: bytes) -> AsyncIterator[bytes]:
    columns = (TextColumn("  {task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("upload", total=len(photo))
        for start in range(0, len(photo), PIECE_BYTES):
            piece = photo[start : start + PIECE_BYTES]
            yield piece
            progress.advance(task, len(piece))


@asynccontextmanager
async def _stack(settings: StackSettings, story: Story) -> AsyncIterator[None]:
    """Use the stack that answers at the address, or run one for as long as this lasts."""
    if await _is_running(settings):
        story.console.print(f"Using the stack that runs at {settings.url}")
        yield
        return
    process = await asyncio.create_subprocess_exec(
        *tied([sys.executable, "-m", "local", "up"]), stdout=asyncio.subprocess.PIPE
    )
    try:
        with story.step("The local stack starts"):
            assert process.stdout is not None
            # Its steps go to our terminal by themselves; its output is the one line, once ready.
            if not await process.stdout.readline():
                raise DemoFailed("The local stack did not start; it says why above.")
        yield
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        await process.wait()


async def _is_running(settings: StackSettings) -> bool:
    async with httpx.AsyncClient(timeout=5) as client:
        try:
            answer = await client.get(f"{settings.url}/_local/functions")
        except httpx.HTTPError:
            return False
    return answer.status_code == 200


def _photo() -> tuple[str, bytes]:
    chosen = os.environ.get("PHOTO")
    if not chosen:
        return "IMG_0042.jpg", camera_jpeg()
    path = Path(chosen).expanduser()
    try:
        return path.name, path.read_bytes()
    except OSError as error:
        raise DemoFailed(f"PHOTO={path.absolute()} can't be read: {error.strerror}") from None


def _show_pictures(story: Story, name: str, photo: bytes, pictures: dict[str, Path]) -> None:
    table = Table("", Column("picture", overflow="fold"), title="What went in, what came out")
    for heading in ("pixels", "bytes"):
        table.add_column(heading, no_wrap=True, min_width=9)
    table.add_column("metadata", overflow="fold")
    table.add_row("in", name, *_described(photo))
    for variant, path in pictures.items():
        table.add_row(variant, path.name, *_described(path.read_bytes()))
    story.console.print(table)
    story.console.print(f"The pictures are in {DOWNLOADS.relative_to(ROOT)}")


def _show_times(story: Story) -> None:
    times = Table("step", "seconds", title="How long it took")
    for title, seconds in story.steps:
        times.add_row(title, f"{seconds:.2f}")
    story.console.print(times)


def _described(picture: bytes) -> tuple[str, str, str]:
    with Image.open(io.BytesIO(picture)) as image:
        exif = image.getexif()
        found = [f"EXIF ({len(exif)} tags)"] if exif else []
        found += ["GPS position"] if exif.get_ifd(IFD.GPSInfo) else []
        found += [key for key in ("icc_profile", "comment", "xmp") if image.info.get(key)]
        found += ["turned"] if exif.get(Base.Orientation, 1) > 1 else []
        return f"{image.width} x {image.height}", f"{len(picture):,}", ", ".join(found) or "none"
