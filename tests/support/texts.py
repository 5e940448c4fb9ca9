"""What the tests of texts share: Africa's Talking at the wire, and texts in the database.

with run_africas_talking() as vendor:      # the stand-in of the local stack
with run_wire() as wire:                   # a server that says what a test wants it to say
"""

import asyncio
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

from sqlalchemy import func, insert, select, update

from fieldgate.db.engine import Database
from fieldgate.db.tables.one_time_codes import otp_challenges, sms_messages
from local.africas_talking import AfricasTalking
from local.faults import Faults
from tests.support.listening import listening

API_KEY = "a-key-for-tests"
PHONE = "+254711000021"


def settings_for(url: str) -> dict[str, str]:
    """Return the settings that have texts sent to the vendor at `url`."""
    return {
        "AFRICAS_TALKING_USERNAME": "fieldgate",
        "AFRICAS_TALKING_API_KEY": API_KEY,
        "AFRICAS_TALKING_URL": url,
    }


@dataclass
class Vendor:
    """The running stand-in."""

    standin: AfricasTalking
    faults: Faults
    url: str = ""

    def texts(self, phone: str | None = None) -> list[str]:
        """Return what was texted, newest first."""
        return [text["text"] for text in self.standin.inbox(phone)]


@contextmanager
def run_africas_talking(report_url: str = "") -> Iterator[Vendor]:
    """Serve the stand-in until the block is left; reports go out at once."""
    faults = Faults()
    standin = AfricasTalking(API_KEY, report_url, faults, slow_seconds=0, report_seconds=0)
    vendor = Vendor(standin, faults)
    started: Future[Callable[[], object]] = Future()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(vendor, started)), name="sms")
    thread.start()
    try:
        stop = started.result(timeout=10)
        try:
            yield vendor
        finally:
            stop()
    finally:
        thread.join()


async def _serve(vendor: Vendor, started: "Future[Callable[[], object]]") -> None:
    stopped = asyncio.Event()
    async with listening(vendor.standin.application()) as vendor.url:
        loop = asyncio.get_running_loop()
        started.set_result(partial(loop.call_soon_threadsafe, stopped.set))
        await stopped.wait()


@dataclass
class Wire:
    """What the server says to whoever posts, and what was posted: path, headers, form."""

    url: str
    status: int = 201
    content_type: str = "application/json; charset=utf-8"
    body: str = "{}"
    posted: list[tuple[str, dict[str, str], dict[str, str]]] = field(default_factory=list)
    heard: threading.Event = field(default_factory=threading.Event)

    def say(self, recipients: Any, message: str = "Sent to 1/1 Total Cost: KES 0.8000") -> None:
        data = {"SMSMessageData": {"Message": message, "Recipients": recipients}}
        self.body = json.dumps(data)


def recipient(code: int | str, message_id: str = "ATXid_1") -> dict[str, Any]:
    """Return what the vendor says of one number."""
    return {"statusCode": code, "number": PHONE, "status": "...", "messageId": message_id}


@contextmanager
def run_wire() -> Iterator[Wire]:
    """Serve until the block is left."""
    wire = Wire("")

    class Say(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = self.rfile.read(int(self.headers["Content-Length"])).decode()
            wire.posted.append((self.path, dict(self.headers), dict(parse_qsl(form))))
            wire.heard.set()
            body = wire.body.encode()
            self.send_response(wire.status)
            self.send_header("Content-Type", wire.content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep the test run quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Say) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01], name="wire")
        thread.start()
        wire.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield wire
        finally:
            server.shutdown()
            thread.join()


def add_text(
    database: Database,
    *,
    kind: str = "code",
    phone: str = PHONE,
    expires_in: timedelta = timedelta(minutes=10),
    verified: bool = False,
    age: timedelta = timedelta(),
    **columns: Any,
) -> UUID:
    """Add a challenge, begun `age` ago, and a text of it; returns the text's id."""
    challenge_id, message_id = uuid.uuid4(), uuid.uuid4()
    now = func.now()
    challenge = {
        "id": challenge_id,
        "phone": phone,
        "purpose": "register",
        "created_at": now - age,
        "expires_at": now + expires_in,
        "verified_at": now if verified else None,
    }
    text = {
        "id": message_id,
        "challenge_id": challenge_id,
        "phone": phone,
        "kind": kind,
        "created_at": now - age,
    }

    def write(connection: Any) -> None:
        connection.execute(insert(otp_challenges).values(challenge))
        connection.execute(insert(sms_messages).values(text | columns))

    database.transact(write)
    return UUID(str(columns.get("id", message_id)))


def text_row(database: Database, message_id: UUID) -> dict[str, Any]:
    query = select(sms_messages).where(sms_messages.c.id == message_id)
    return dict(database.read(lambda connection: connection.execute(query).mappings().one()))


def change_text(database: Database, message_id: UUID, **values: Any) -> None:
    change = update(sms_messages).where(sms_messages.c.id == message_id).values(**values)
    database.transact(lambda connection: connection.execute(change))
