"""A local stack of a benchmark's own, with people on it and connections of theirs."""

import asyncio
import itertools
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import boto3

from fieldgate.db.engine import Database
from fieldgate.db.url import parse_url
from identity.passwords import hash_password
from local.accounts import PASSWORD
from local.cloud import ACCOUNT, SECRET
from local.front_door import HUB_PATH
from local.template import REGION, ROOT
from realtime.connection_store import MAX_CONNECTIONS
from tests.support.people import Person, register
from tests.support.ports import free_port_pair

# Each in a range of its own, as some budgets go by the thousand numbers.
_numbers = (f"+2547{33_001_000 + n * 1_000}" for n in itertools.count())


@dataclass
class Stack:
    """A running stack; `cloud_url` is the local cloud behind it."""

    url: str
    cloud_url: str
    database: Database
    session: aiohttp.ClientSession
    password_hash: str = field(default_factory=lambda: hash_password(PASSWORD))

    async def sign_in(self, role: str) -> dict[str, str]:
        """Sign in as somebody new; returns the headers that say who it is."""
        person = Person(PASSWORD, self.password_hash, next(_numbers), email=None, roles=[role])
        await asyncio.to_thread(register, self.database, person)
        credentials = {"identifier": person.phone, "password": PASSWORD}
        async with self.session.post(f"{self.url}/api/v1/auth/login", json=credentials) as answer:
            token = (await answer.json())["data"]["accessToken"]
        return {"Authorization": f"Bearer {token}"}

    async def connect(self, number: int) -> list[aiohttp.ClientWebSocketResponse]:
        """Connect so many plain clients, of as few people as may have them."""
        people = [await self.sign_in("agent") for _ in range(-(-number // MAX_CONNECTIONS))]
        # The first one by itself, which starts the functions.
        sockets = [await self._connect(people[0])]
        others = (people[n % len(people)] for n in range(1, number))
        return sockets + await asyncio.gather(*map(self._connect, others))

    async def _connect(self, headers: dict[str, str]) -> aiohttp.ClientWebSocketResponse:
        socket = await self.session.ws_connect(self.url + HUB_PATH, headers=headers)
        await connection_id(socket)  # after which it is ready
        return socket

    def client(self, service: str) -> Any:
        """Return a client of the local cloud."""
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self.cloud_url,
            region_name=REGION,
            aws_access_key_id=ACCOUNT,
            aws_secret_access_key=SECRET,
        )


async def connection_id(socket: aiohttp.ClientWebSocketResponse) -> str:
    await socket.send_json({"action": "getConnectionId"})
    return str((await socket.receive_json())["connectionId"])


@asynccontextmanager
async def running(directory: Path) -> AsyncIterator[Stack]:
    """Run `make up`'s command until the block is left; `directory` gets its data and its log."""
    port, data = free_port_pair(), directory / "stack"
    with (directory / "stack.log").open("w") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "local", "up"),
            cwd=ROOT,
            env=os.environ | {"PORT": str(port), "FIELDGATE_DATA_DIR": str(data)},
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
    try:
        assert process.stdout is not None
        if b"ready" not in await process.stdout.readline():
            raise RuntimeError((directory / "stack.log").read_text())
        addresses = json.loads((data / "stack.json").read_text())
        database = Database(lambda: parse_url(addresses["database"], "the stack"))
        # Else there are a hundred connections and no more.
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            yield Stack(addresses["url"], addresses["cloud"], database, session)
        database.close()
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
