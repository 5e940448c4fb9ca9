"""A phone in the field: the reference client on a disk of its own, against the real functions.

    phone = field.phone()
    path = phone.write(some_bytes(300_000))
    finished = phone.upload(path)
    assert phone.arrived(finished) == path.read_bytes()

`Life` ends a client at any step it takes: before and after each request and each commit, and in
the middle of each body. Whatever it tries then fails as well; its disk is as it was.
"""

import asyncio
import itertools
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from sqlite3 import Connection
from typing import Any

import httpx
from sqlalchemy import select, update

from fieldgate.db.engine import Database as ServerDatabase
from fieldgate.db.tables.all import media, uploads
from fieldgate_client.api import Api
from fieldgate_client.database import Database
from fieldgate_client.progress import Progress
from fieldgate_client.tokens import Tokens, TokenStore
from fieldgate_client.uploads import Finished, UploadManager
from tests.support.api_server import ApiServer
from tests.support.people import Person, begin_session, register
from tests.support.s3 import ORIGINALS, LocalS3
from tests.support.sender import CHUNK

# A request on its way to the API or to storage: an answer instead, or None to let it go there.
type Trouble = Callable[[httpx.Request], Awaitable[httpx.Response | None]]


def retold(path_ends: str, change: Callable[[dict[str, Any]], None]) -> Trouble:
    """Have the server do what it is asked, and `change` what it says of that."""

    async def trouble(request: httpx.Request) -> httpx.Response | None:
        if not request.url.path.endswith(path_ends):
            return None
        async with httpx.AsyncClient(verify=False) as client:
            content = await request.aread()
            answer = await client.request(
                request.method, request.url, headers=request.headers, content=content
            )
        said = answer.json()
        change(said["data"])
        return httpx.Response(answer.status_code, json=said)

    return trouble


class Killed(BaseException):
    """The process is gone. Nothing may catch it."""


@dataclass
class Life:
    """Ends when it has taken `ends_after` steps; None never."""

    ends_after: int | None = None
    steps: int = 0

    @property
    def is_over(self) -> bool:
        return self.ends_after is not None and self.steps >= self.ends_after

    def step(self) -> None:
        if not self.is_over:
            self.steps += 1
        if self.is_over:
            raise Killed


class MortalDatabase(Database):
    """Ends before a commit, which then is none, or after it."""

    def __init__(self, path: Path, life: Life) -> None:
        self._life = life
        super().__init__(path)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        with super().transaction() as connection:
            yield connection
            self._life.step()
        self._life.step()


@dataclass
class MortalTransport(httpx.AsyncBaseTransport):
    """Ends before a request, in the middle of its body, or after the answer.

    `sent` counts the bytes of bodies that went out, by path.
    """

    life: Life
    trouble: Trouble | None = None
    sent: Counter[str] = field(default_factory=Counter)
    requests: list[httpx.Request] = field(default_factory=list)
    # Nothing is encrypted here, and certificates take 30 ms to load.
    inner: httpx.AsyncHTTPTransport = field(
        default_factory=lambda: httpx.AsyncHTTPTransport(verify=False)
    )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.life.step()
        self.requests.append(request)
        answer = await self.trouble(request) if self.trouble else None
        if answer is None:
            answer = await self._pass_on(request)
        self.life.step()
        return answer

    async def _pass_on(self, request: httpx.Request) -> httpx.Response:
        request.stream = _Body(request, self)
        answer = await self.inner.handle_async_request(request)
        content = await answer.aread()
        await answer.aclose()
        return httpx.Response(answer.status_code, headers=answer.headers, content=content)

    async def aclose(self) -> None:
        await self.inner.aclose()


class _Body(httpx.AsyncByteStream):
    def __init__(self, request: httpx.Request, transport: MortalTransport) -> None:
        self._path = request.url.path
        self._stream: Any = request.stream
        self._transport = transport

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            self._transport.sent[self._path] += len(piece)
            yield piece
            self._transport.life.step()


@dataclass
class Phone:
    """`trouble` befalls requests to storage, `api_trouble` those to the API.

    `sent` are the bytes that went out to storage, by the path of their object. `pauses` are those
    that the client wanted; none is waited for, but its clock goes on.
    """

    server: ApiServer
    s3: LocalS3
    database: ServerDatabase
    folder: Path
    tokens: Tokens
    parallel: int = 1
    trouble: Trouble | None = None
    api_trouble: Trouble | None = None
    options: dict[str, Any] = field(default_factory=dict)
    pauses: list[float] = field(default_factory=list)
    progress: list[Progress] = field(default_factory=list)
    local_ids: dict[Path, str] = field(default_factory=dict)
    now: float = 1000.0
    sent: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        with Database(self.disk) as database:
            TokenStore(database).save(self.server.url, self.tokens)

    @property
    def disk(self) -> Path:
        return self.folder / "client.db"

    def write(self, content: bytes, name: str = "notes.txt") -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path

    @asynccontextmanager
    async def awake(self, life: Life | None = None) -> AsyncIterator[UploadManager]:
        """Start the client."""
        life = life or Life()
        storage = MortalTransport(life, self.trouble, self.sent)
        talk = MortalTransport(life, self.api_trouble)
        try:
            with MortalDatabase(self.disk, life) as database:
                api = Api(
                    self.server.url,
                    TokenStore(database),
                    transport=talk,
                    clock=lambda: self.now,
                    sleep=self.sleep,
                )
                async with api:
                    yield UploadManager(
                        api,
                        database,
                        storage_transport=storage,
                        parallel=lambda: self.parallel,
                        clock=lambda: self.now,
                        sleep=self.sleep,
                        **{"chunk_bytes": CHUNK} | self.options,
                    )
        finally:
            await storage.aclose()

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    def upload(self, path: Path, *, life: Life | None = None) -> Finished:
        """Start the client and have it send a file, begun before or not.

        An app remembers the id of what it added, if it lived to see it.
        """

        async def send() -> Finished:
            async with self.awake(life) as manager:
                if path not in self.local_ids:
                    self.local_ids[path] = await manager.add(path, "farmers")
                return await manager.run(self.local_ids[path], self.progress.append)

        return asyncio.run(send())

    def do[T](self, work: Callable[[UploadManager], Awaitable[T]]) -> T:
        """Start the client for `work`."""

        async def done() -> T:
            async with self.awake() as manager:
                return await work(manager)

        return asyncio.run(done())

    def arrived(self, finished: Finished) -> bytes:
        """Return what the server has of an upload."""
        rows = select(media.c.object_key).where(media.c.id == uuid.UUID(finished.media_id))
        key = self.server.run(lambda: self.database.read(lambda c: c.execute(rows).scalar_one()))
        return self.s3.stored(ORIGINALS)[key]

    def server_uploads(self) -> list[dict[str, Any]]:
        """Return what the server knows of this user's uploads."""
        rows = select(uploads).where(uploads.c.owner_id == uuid.UUID(self.tokens.user_id))
        return self.server.run(
            lambda: [
                dict(row) for row in self.database.read(lambda c: c.execute(rows).mappings().all())
            ]
        )

    def change_at_server(self, **values: Any) -> None:
        """Write into this user's uploads what a test needs to be there."""
        owned = uploads.c.owner_id == uuid.UUID(self.tokens.user_id)
        statement = update(uploads).where(owned).values(values)
        self.server.run(lambda: self.database.transact(lambda c: c.execute(statement)))


@dataclass
class Field:
    """Where phones are: one server, one storage, any number of users."""

    server: ApiServer
    s3: LocalS3
    database: ServerDatabase
    folder: Path
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def tokens(self) -> Tokens:
        """Sign a new user in."""
        number = next(self._numbers)
        person = Person("", None, f"+2547110{number:05}", f"grower{number}@farm.example.org")

        def sign_in() -> Tokens:
            session = begin_session(self.database, register(self.database, person))
            return Tokens(str(person.id), session.access_token, session.refresh_token.text, 3600)

        return self.server.run(sign_in)

    def phone(self, tokens: Tokens | None = None, **options: Any) -> Phone:
        folder = self.folder / f"phone-{next(self._numbers)}"
        folder.mkdir()
        return Phone(
            self.server, self.s3, self.database, folder, tokens or self.tokens(), **options
        )
