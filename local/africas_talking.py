"""A stand-in for Africa's Talking on loopback: its wire format for sending texts, and an inbox.

Like the real one it names a charset in its content type, which has the SDK hand the answer over as
text, and reports the delivery of each text to a callback, as a form.
(developers.africastalking.com/docs/sms/sending/bulk and .../notifications)
"""

import asyncio
import hmac
import uuid
from collections import deque
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
from aiohttp import web

from fieldgate.sms.africas_talking import FAILURES
from local.faults import Faults

TARGET = "sms"
SLOW_SECONDS = 3.0
# As the real one's reports come a while after its answer.
REPORT_SECONDS = 1.0
INBOX_SIZE = 10_000
# What it shows as sender where none is given.
DEFAULT_SENDER = "AFRICASTKNG"

_CALLBACK = web.AppKey("callback", aiohttp.ClientSession)


class AfricasTalking:
    """The stand-in: who has `api_key` may send. `report_url` hears of deliveries, if not empty.

    `faults`, target `sms`: `down` cuts connections unanswered, `slow` answers after
    `slow_seconds`, `error` answers 500, or refuses texts with the code it was told, `hang` answers
    when the fault is over.
    """

    def __init__(
        self,
        api_key: str,
        report_url: str,
        faults: Faults,
        *,
        slow_seconds: float = SLOW_SECONDS,
        report_seconds: float = REPORT_SECONDS,
    ) -> None:
        self._api_key = api_key
        self._report_url = report_url
        self._faults = faults
        self._slow_seconds = slow_seconds
        self._report_seconds = report_seconds
        self._inbox: deque[dict[str, str]] = deque(maxlen=INBOX_SIZE)
        self._reports: set[asyncio.Task[None]] = set()

    def application(self) -> web.Application:
        """Return the aiohttp application to serve."""
        app = web.Application()
        app.router.add_post("/version1/messaging", self.send)
        app.cleanup_ctx.append(self._reporting)
        return app

    def inbox(self, phone: str | None = None) -> list[dict[str, str]]:
        """Return the texts that were sent (to `phone`), newest first: `{to, from, text, at}`."""
        return [text for text in self._inbox if phone in {None, text["to"]}]

    async def send(self, request: web.Request) -> web.Response:
        """POST /version1/messaging."""
        broken = await self._suffer(request)
        if broken is not None:
            return broken
        form = await request.post()
        given = request.headers.get("apiKey", "")
        if not hmac.compare_digest(given.encode(), self._api_key.encode()):
            return web.Response(status=401, text="The supplied authentication is invalid")
        if "application/json" not in request.headers.get("Accept", ""):
            return web.Response(status=406, text="The stand-in speaks JSON only")
        for name in ("username", "to", "message"):
            if not form.get(name):
                text = f"Request is missing required form field '{name}'"
                return web.Response(status=400, text=text)
        sender = str(form.get("from", DEFAULT_SENDER))
        code = self._faults.code(TARGET)
        if isinstance(code, int):
            return _refused(str(form["to"]), code)
        recipients = [
            self._take(request.app, number, sender, str(form["message"]))
            for number in str(form["to"]).split(",")
        ]
        total = f"KES {0.8 * len(recipients):.4f}"
        message = f"Sent to {len(recipients)}/{len(recipients)} Total Cost: {total}"
        answer = {"SMSMessageData": {"Message": message, "Recipients": recipients}}
        return web.json_response(answer, status=201)

    def _take(self, app: web.Application, number: str, sender: str, text: str) -> dict[str, Any]:
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._inbox.appendleft({"to": number, "from": sender, "text": text, "at": at})
        message_id = f"ATXid_{uuid.uuid4().hex}"
        if self._report_url:
            task = asyncio.create_task(self._report(app[_CALLBACK], message_id, number))
            self._reports.add(task)
            task.add_done_callback(self._reports.discard)
        return {
            "statusCode": 101,
            "number": number,
            "status": "Success",
            "cost": "KES 0.8000",
            "messageId": message_id,
        }

    async def _report(self, session: aiohttp.ClientSession, message_id: str, number: str) -> None:
        await asyncio.sleep(self._report_seconds)
        report = {
            "id": message_id,
            "status": "Success",
            "phoneNumber": number,
            "networkCode": "63902",
            "retryCount": "0",
        }
        try:
            async with session.post(self._report_url, data=report):
                pass
        except (aiohttp.ClientError, TimeoutError):
            pass  # whoever is reported to has gone

    async def _reporting(self, app: web.Application) -> AsyncIterator[None]:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
            app[_CALLBACK] = session
            yield
            for task in self._reports:
                task.cancel()
            await asyncio.gather(*self._reports, return_exceptions=True)

    async def _suffer(self, request: web.Request) -> web.Response | None:
        """Be broken the way it was asked for; returns the answer that this leads to, if any."""
        await self._faults.hold(TARGET, abandoned=lambda: _has_left(request))
        match self._faults.active(TARGET):
            case "down":
                assert request.transport is not None
                request.transport.abort()
                return web.Response(status=503)
            case "slow":
                await asyncio.sleep(self._slow_seconds)
            case "error" if self._faults.code(TARGET) is None:
                return web.Response(status=500, text="Internal Server Error")
        return None


def _refused(numbers: str, code: int) -> web.Response:
    """Refuse as the real one does: per number, or naming nobody when it is the sender's fault."""
    _, reason = FAILURES[code]
    recipients = [
        {"statusCode": code, "number": number, "status": reason, "cost": "0", "messageId": "None"}
        for number in numbers.split(",")
    ]
    nobody = reason == "InvalidSenderId"
    message = reason if nobody else f"Sent to 0/{len(recipients)} Total Cost: 0"
    data = {"Message": message, "Recipients": [] if nobody else recipients}
    return web.json_response({"SMSMessageData": data}, status=201)


def _has_left(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()
