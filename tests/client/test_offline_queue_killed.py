"""Processes that die while they send, and two that send at once: each thing is done once."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from aiohttp import web

from fieldgate_client.database import Database
from fieldgate_client.outbox import Outbox, Owner
from fieldgate_client.tokens import TokenStore
from tests.client.fake_api import TOKENS, FakeApi
from tests.client.offline_queue.phone import MONDAY

PROGRAM = Path(__file__).with_name("queue_process.py")


class Phone:
    """A phone's disk, the server it is signed in to, and processes that send its queue."""

    def __init__(self, home: Path, server: FakeApi, url: str) -> None:
        self.home = home
        self.server = server
        self.url = url
        self.owner = Owner(url, TOKENS.user_id)
        self.was_asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        with Database(home / "client.db") as database:
            TokenStore(database).save(url, TOKENS)

    def add(self, *paths: str) -> None:
        with Database(self.home / "client.db") as database:
            for path in paths:
                Outbox(database).add_request(self.owner, "POST", path, None, None, MONDAY)

    @property
    def waiting(self) -> list[str]:
        with Database(self.home / "client.db") as database:
            return [entry.path for entry in Outbox(database).entries(self.owner)]

    async def start(self, *step: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, PROGRAM, self.home, self.url, *step, stdout=asyncio.subprocess.PIPE
        )


@asynccontextmanager
async def phone_with_server(home: Path) -> AsyncIterator[Phone]:
    server = FakeApi()

    async def answer(request: web.Request) -> web.Response:
        phone.was_asked.set()
        await phone.may_answer.wait()
        came = await server.handle_async_request(
            httpx.Request(
                request.method,
                str(request.url),
                headers=dict(request.headers),
                content=await request.read(),
            )
        )
        return web.Response(
            status=came.status_code, body=came.content, content_type="application/json"
        )

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    phone = Phone(home, server, site.name)
    try:
        yield phone
    finally:
        await runner.cleanup()


def with_phone(home: Path, story: Callable[[Phone], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(60), phone_with_server(home) as phone:
            await story(phone)

    asyncio.run(run())


async def ended(process: asyncio.subprocess.Process) -> tuple[int | None, str]:
    said, _ = await process.communicate()
    return process.returncode, said.decode().strip()


def test_killed_between_the_answer_and_its_note_it_is_sent_again_and_done_once(
    tmp_path: Path,
) -> None:
    async def story(phone: Phone) -> None:
        phone.add("/first", "/second")
        assert await ended(await phone.start("sent")) == (-signal.SIGKILL, "")
        assert phone.waiting == ["/first", "/second"]
        assert await ended(await phone.start()) == (0, "2")
        assert [what for what, _ in phone.server.done] == ["POST /first", "POST /second"]
        keys = [key for _, path, key in phone.server.asked if path == "/first"]
        assert len(keys) == 2
        assert len(set(keys)) == 1
        assert phone.waiting == []

    with_phone(tmp_path, story)


def test_killed_before_it_was_sent_it_is_sent_by_the_next(tmp_path: Path) -> None:
    async def story(phone: Phone) -> None:
        phone.add("/first")
        assert await ended(await phone.start("begin")) == (-signal.SIGKILL, "")
        assert phone.server.asked == []
        assert await ended(await phone.start()) == (0, "1")
        assert phone.server.done == [("POST /first", None)]

    with_phone(tmp_path, story)


def test_killed_while_it_waits_for_the_answer_it_is_done_once(tmp_path: Path) -> None:
    async def story(phone: Phone) -> None:
        phone.add("/first")
        process = await phone.start()

        def kill(request: httpx.Request, work: Callable[[], httpx.Response]) -> httpx.Response:
            process.kill()
            return work()

        phone.server.faults = [kill]
        assert await ended(process) == (-signal.SIGKILL, "")
        assert await ended(await phone.start()) == (0, "1")
        assert phone.server.done == [("POST /first", None)]
        assert len(phone.server.asked) == 2

    with_phone(tmp_path, story)


def test_while_one_process_sends_another_sends_nothing(tmp_path: Path) -> None:
    async def story(phone: Phone) -> None:
        paths = [f"/{number}" for number in range(20)]
        phone.add(*paths)
        phone.may_answer.clear()
        first = await phone.start()
        await phone.was_asked.wait()
        assert await ended(await phone.start()) == (0, "0")
        phone.may_answer.set()
        assert await ended(first) == (0, "20")
        assert [path for _, path, _ in phone.server.asked] == paths

    with_phone(tmp_path, story)
