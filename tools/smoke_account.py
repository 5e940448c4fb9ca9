"""What somebody who is signed in sees: an upload there and away again, and its word of mouth."""

import asyncio
import json
import uuid
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import httpx

from local.sample_photo import camera_jpeg
from tools.smoke_report import CheckFailed, Report, expect, undone
from tools.smoke_settings import Settings
from tools.smoke_talk import RECORD_END, REQUEST_SECONDS, Talk, body_of, records_of, said

HEARD_SECONDS = 60
# The authorizer may know a session that ended for half a minute.
FORGOTTEN_TRIES = 40
READY_TRIES = 60
POLL_SECONDS = 1.0
PING = 6
JPEG = b"\xff\xd8\xff"


async def check_account(report: Report, settings: Settings, talk: Talk) -> None:
    """Run the checks of somebody signed in, or say that they are left out."""
    if not settings.identifier:
        report.leave_out("signing in, an upload", "no SMOKE_IDENTIFIER and SMOKE_PASSWORD")
        return
    async with AsyncExitStack() as connections:
        look = AccountChecks(settings, talk, connections)
        if not await report.check("sign in", look.sign_in, again=False):
            return
        async with undone(report, "sign out", look.sign_out):
            await report.check("GET /auth/me", look.profile)
            if lacks := look.lacks("health:read"):
                report.leave_out("GET /health/dependencies", lacks)
            else:
                await report.check("GET /health/dependencies", look.dependencies)
            await report.check("negotiate", look.negotiate)
            listens = await report.check("WebSocket, ping", look.connect)
            if lacks := look.lacks("media:read", "media:write"):
                report.leave_out("an upload", lacks)
            else:
                await _check_upload(report, look, listens=listens)


async def _check_upload(report: Report, look: "AccountChecks", *, listens: bool) -> None:
    if not await report.check("presign a photo", look.presign, again=False):
        return
    async with undone(report, "delete it", look.delete):
        if not await report.check("send it to storage", look.send):
            return
        await report.check("it is processed", look.processed, again=False)
        if listens:
            await report.check("DataChanged of it", look.heard, again=False)
        else:
            report.leave_out("DataChanged of it", "there is no connection")


class AccountChecks:
    """Each returns what it saw, or raises CheckFailed or what the client raised.

    `connections` closes the WebSocket.
    """

    def __init__(self, settings: Settings, talk: Talk, connections: AsyncExitStack) -> None:
        self.settings = settings
        self.talk = talk
        self.connections = connections
        self.photo = camera_jpeg(64, 48, gps=False)
        # Unknown until the profile was read.
        self.permissions: set[str] | None = None
        self.upload: dict[str, Any] = {}
        self.socket: aiohttp.ClientWebSocketResponse | None = None

    async def sign_in(self) -> str:
        credentials = {"identifier": self.settings.identifier, "password": self.settings.password}
        tokens = await self.talk.data("POST", "/api/v1/auth/login", 200, json=credentials)
        expect(
            not tokens.get("twoFactorRequired"),
            "the account has a second factor, and was just sent a text: take another account",
        )
        self.talk.token = str(tokens["accessToken"])
        return f"for {tokens['expiresIn']} s"

    async def profile(self) -> str:
        profile = await self.talk.data("GET", "/api/v1/auth/me", 200)
        self.permissions = set(profile["permissions"])
        return ", ".join(profile["roles"])

    def lacks(self, *permissions: str) -> str:
        """Return why what takes these permissions can't be tried, or nothing if it can."""
        if self.permissions is None:
            return "GET /auth/me failed, so what the account may do is not known"
        missing = [one for one in permissions if one not in self.permissions]
        return f"the account lacks {' and '.join(missing)}" if missing else ""

    async def dependencies(self) -> str:
        report = await self.talk.data("GET", "/health/dependencies", 200)
        found = {one["name"]: one["state"] for one in report["dependencies"]}
        told = ", ".join(f"{name} {state}" for name, state in found.items())
        expect(not {"down", "degraded"} & set(found.values()), told)
        return told

    async def negotiate(self) -> str:
        answer = await self.talk.ask("POST", "/hubs/permissions/negotiate?negotiateVersion=1")
        expect(answer.status_code == 200, said(answer))
        transports = [one["transport"] for one in body_of(answer).get("availableTransports", [])]
        expect("WebSockets" in transports, f"no WebSockets among the transports: {transports}")
        return ""

    async def connect(self) -> str:
        """Connect, shake hands as SignalR does, and have a ping answered."""
        socket = await self.connections.enter_async_context(self.talk.socket())
        await socket.send_str(json.dumps({"protocol": "json", "version": 1}) + RECORD_END)
        await _record(socket, lambda record: record == {}, "the handshake is not answered")
        await socket.send_str(json.dumps({"type": PING}) + RECORD_END)
        await _record(socket, lambda record: record.get("type") == PING, "no answer to a ping")
        self.socket = socket
        return ""

    async def presign(self) -> str:
        wish = {
            "folder": "uploads",
            "filename": "smoke-test.jpg",
            "contentType": "image/jpeg",
            "size": len(self.photo),
        }
        key = {"idempotency-key": str(uuid.uuid4())}
        self.upload = await self.talk.data(
            "POST", "/api/v1/uploads/presign", 201, json=wish, headers=key
        )
        return str(self.upload["mediaId"])

    async def send(self) -> str:
        async with self._storage() as storage:
            answer = await storage.request(
                self.upload["method"],
                self.upload["url"],
                headers=self.upload["headers"],
                content=self.photo,
            )
        expect(answer.is_success, said(answer))
        return f"{len(self.photo)} bytes"

    async def processed(self) -> str:
        media = await self._ready()
        async with self._storage() as storage:
            picture = await storage.get(media["url"])
        expect(picture.content.startswith(JPEG), f"no picture: {picture.status_code}")
        return f"web.jpg, {len(picture.content)} bytes"

    async def _ready(self) -> dict[str, Any]:
        path = f"/api/v1/media/{self.upload['mediaId']}"
        for _ in range(READY_TRIES):
            media = await self.talk.data("GET", path, 200)
            if media["state"] == "ready":
                return media
            expect(media["state"] != "rejected", f"rejected: {media.get('rejectedReason')}")
            await asyncio.sleep(POLL_SECONDS)
        raise CheckFailed(f"after a minute it is {media['state']}")

    def _storage(self) -> httpx.AsyncClient:
        """Make a client without the token: the addresses themselves are signed."""
        return httpx.AsyncClient(timeout=REQUEST_SECONDS, trust_env=not self.settings.is_local)

    async def heard(self) -> str:
        assert self.socket is not None
        media_id = self.upload["mediaId"]

        def is_ours(record: dict[str, Any]) -> bool:
            told = (record.get("arguments") or [{}])[0]
            return record.get("target") == "DataChanged" and told.get("entityId") == media_id

        record = await _record(self.socket, is_ours, f"nothing was told of media {media_id}")
        return str(record["arguments"][0]["action"])

    async def delete(self) -> str:
        path = f"/api/v1/media/{self.upload['mediaId']}"
        answer = await self.talk.ask("DELETE", path)
        # A second try finds what the first one did.
        expect(answer.status_code in {204, 404}, said(answer))
        await self.talk.refusal("GET", path, 404, "NOT_FOUND")
        return ""

    async def sign_out(self) -> str:
        """Sign out, and see that the token is good for nothing any more."""
        answer = await self.talk.ask("POST", "/api/v1/auth/logout", json={})
        expect(answer.status_code in {204, 401}, said(answer))
        for _ in range(FORGOTTEN_TRIES):
            if (await self.talk.ask("GET", "/api/v1/auth/me")).status_code == 401:
                return "the token is refused"
            await asyncio.sleep(POLL_SECONDS)
        raise CheckFailed("the token is still taken")


async def _record(
    socket: aiohttp.ClientWebSocketResponse,
    wanted: Callable[[dict[str, Any]], bool],
    otherwise: str,
) -> dict[str, Any]:
    """Return the next record that is `wanted`; others are passed over."""
    try:
        async with asyncio.timeout(HEARD_SECONDS):
            async for message in socket:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    break
                for record in records_of(message.data):
                    if wanted(record):
                        return record
    except TimeoutError:
        raise CheckFailed(f"{otherwise} within {HEARD_SECONDS} s") from None
    raise CheckFailed(f"{otherwise}: the connection was closed ({socket.close_code})")
