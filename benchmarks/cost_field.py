"""Somebody in the field, and each thing that they do, for `benchmarks.costs` to count."""

import itertools
import json
import os
import re
import uuid
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import aiohttp

from benchmarks.load_service import LoadService
from benchmarks.upload_bodies import (
    DOCUMENT_BYTES,
    PDF_HEADER,
    chunks_body,
    chunks_of,
    document_body,
    photo_body,
)
from fieldgate.db.engine import Database
from identity.passwords import hash_password
from local.accounts import PASSWORD
from local.front_door import HUB_PATH
from local.sample_photo import camera_jpeg
from tests.support.people import Person, register

# Who sign in: one who works, and those who sign in to be counted.
AGENTS = 20


class Field:
    """People with phones, and what they do; each thing is named as in the table of usage."""

    def __init__(self, service: LoadService, session: aiohttp.ClientSession) -> None:
        self._service, self._session = service, session
        self._people = _people(service.database)
        self._photo = camera_jpeg(1600, 1200, quality=80)
        self._agent: dict[str, Any] = {}
        self._admin: dict[str, Any] = {}
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._picture = ""

    async def begin(self) -> None:
        """Have an agent with a phone that is connected, and an admin."""
        self._agent = await self._signed_in("agent")
        self._admin = await self._signed_in("admin")
        await self.register_phone()
        self._socket = await self._connect(self._agent)

    async def end(self) -> None:
        assert self._socket
        await self._socket.close()

    def things(self) -> dict[str, Callable[[], Awaitable[None]]]:
        return {
            "sign in by code": self.sign_in,
            "refresh the session": self.refresh,
            "register the phone": self.register_phone,
            "send a photo": self.send_photo,
            "fetch a picture": self.fetch_picture,
            "send a document": self.send_document,
            "look at media": lambda: self._look("/media?pageSize=20"),
            "look at the inbox": lambda: self._look("/notifications?unread=true"),
            "look at stock": lambda: self._look("/stock/lots?pageSize=20"),
            "get a push": self.push,
            "connect": self.connect,
            "ping": self.ping,
            "catch up": lambda: self._look("/realtime/events"),
        }

    async def sign_in(self) -> None:
        phone = next(self._people["agent"])
        asked = await self._ask("POST", "/otp/send", {"phone": phone, "purpose": "login"})
        await self._service.settle()
        (text, *_) = self._service.texts.inbox(phone)
        code = re.search(r"\b\d{6}\b", text["text"])
        assert code
        body = {"challengeId": asked["challengeId"], "code": code[0], "profile": "mobile"}
        await self._ask("POST", "/otp/verify", body)

    async def refresh(self) -> None:
        token = {"refreshToken": self._agent["refreshToken"]}
        self._agent |= await self._ask("POST", "/auth/refresh", token)

    async def register_phone(self) -> None:
        body = {"token": "costs-one-phone", "platform": "android"}
        await self._ask("PUT", "/devices", body, self._agent)

    async def send_photo(self) -> None:
        content = self._photo + os.urandom(8)
        found = await self._ask("POST", "/uploads/presign", photo_body(content), self._agent)
        await self._put(found, content)
        await self._service.settle()
        media = await self._ask("GET", f"/media/{found['mediaId']}", None, self._agent)
        assert media["state"] == "ready", media
        self._picture = media["url"]

    async def fetch_picture(self) -> None:
        async with self._session.get(self._picture) as answer:
            assert answer.status == 200
            self._service.workers.sent["bytes to phones"] += len(await answer.read())

    async def send_document(self) -> None:
        content = PDF_HEADER + os.urandom(DOCUMENT_BYTES - len(PDF_HEADER))
        chunks = chunks_of(content)
        upload = await self._ask("POST", "/uploads", document_body(content), self._agent)
        path = f"/uploads/{upload['uploadId']}"
        signed = await self._ask("POST", f"{path}/urls", chunks_body(chunks), self._agent)
        for found, chunk in zip(signed["urls"], chunks, strict=True):
            await self._put(found, chunk)
        await self._ask("POST", f"{path}/complete", None, self._agent)
        await self._service.settle()
        done = await self._ask("GET", path, None, self._agent)
        assert done["state"] == "completed", done

    async def push(self) -> None:
        body = {
            "audience": {"userIds": [self._agent["user"]["id"]]},
            "title": "Rain",
            "body": "Now",
        }
        await self._ask("POST", "/notifications", body, self._admin)

    async def connect(self) -> None:
        socket = await self._connect(self._agent)
        await socket.close()

    async def ping(self) -> None:
        assert self._socket
        await self._socket.send_json({"action": "ping"})
        while (await self._socket.receive_json())["type"] != "pong":
            pass

    async def _look(self, path: str) -> None:
        await self._ask("GET", path, None, self._agent)

    async def _connect(self, who: dict[str, Any]) -> aiohttp.ClientWebSocketResponse:
        headers = {"Authorization": f"Bearer {who['accessToken']}"}
        socket = await self._session.ws_connect(self._service.url + HUB_PATH, headers=headers)
        await socket.send_json({"action": "getConnectionId"})
        await socket.receive_json()
        return socket

    async def _signed_in(self, role: str) -> dict[str, Any]:
        credentials = {"identifier": next(self._people[role]), "password": PASSWORD}
        tokens: dict[str, Any] = await self._ask("POST", "/auth/login", credentials)
        return tokens

    async def _put(self, found: dict[str, Any], content: bytes) -> None:
        asked = self._session.request(
            found["method"], found["url"], headers=found["headers"], data=content
        )
        async with asked as answer:
            assert answer.status == 200, await answer.text()

    async def _ask(
        self, method: str, path: str, body: Any = None, who: dict[str, Any] | None = None
    ) -> Any:
        headers = {"Idempotency-Key": uuid.uuid4().hex} if method == "POST" else {}
        if who:
            headers["Authorization"] = f"Bearer {who['accessToken']}"
        asked = self._session.request(
            method, f"{self._service.url}/api/v1{path}", json=body, headers=headers
        )
        async with asked as answer:
            text = await answer.text()
            assert answer.ok, f"{method} {path}: {answer.status} {text}"
            return json.loads(text).get("data") if text else None


def _people(database: Database) -> dict[str, Iterator[str]]:
    """Make people of both roles, who sign in one after the other."""
    password_hash = hash_password(PASSWORD)
    phones = itertools.count(33_001_000, 1_000)
    found = {}
    for role, number in (("agent", AGENTS), ("admin", 1)):
        theirs = [f"+2547{next(phones)}" for _ in range(number)]
        for phone in theirs:
            register(database, Person(PASSWORD, password_hash, phone, email=None, roles=[role]))
        found[role] = iter(theirs)
    return found
