"""What a phone meets in the place of a network: an HTTP server on loopback that answers as told."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial

import httpx

NO_CONTENT = "204 No Content"
LOGIN_PAGE = "200 OK\r\nContent-Length: 1000000\r\n\r\n<html>Welcome to the airport"
REDIRECT = "302 Found\r\nLocation: {url}/login\r\nContent-Length: 0"
NOT_ALLOWED = "405 Method Not Allowed\r\nContent-Length: 0"
SILENCE = "silence"
HANG_UP = "hang up"
DRIP = "drip"


@dataclass
class Portal:
    """Answers each method by the answers given for it, the last of them again and again."""

    answers: dict[str, Sequence[str]]
    asked: list[str] = field(default_factory=list)
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            method, path, _ = (await reader.readuntil(b"\r\n\r\n")).decode().split(" ", 2)
            self.asked.append(f"{method} {path}")
            answers = self.answers[method]
            asked = sum(each.startswith(f"{method} ") for each in self.asked)
            await self._answer(answers[min(asked, len(answers)) - 1], reader, writer)
        except (asyncio.IncompleteReadError, OSError):
            pass  # who asked has gone
        finally:
            writer.close()

    async def _answer(
        self, answer: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if answer == SILENCE:
            await reader.read()
        elif answer == DRIP:
            writer.write(b"HTTP/1.1 200 OK\r\n")
            while not reader.at_eof():
                writer.write(b"X-Drip: 1\r\n")
                await writer.drain()
                await asyncio.sleep(0.001)  # the pace of the dripping
        elif answer != HANG_UP:
            text = answer if "\r\n\r\n" in answer else f"{answer}\r\n\r\n"
            writer.write(f"HTTP/1.1 {text.format(url=self.url)}".encode())
            await writer.drain()


@asynccontextmanager
async def portal(
    *,
    head: Sequence[str] = (NO_CONTENT,),
    get: Sequence[str] = (NO_CONTENT,),
    host: str = "127.0.0.1",
) -> AsyncIterator[Portal]:
    """Serve on a port of loopback until the block is left."""
    served = Portal({"HEAD": head, "GET": get})
    server = await asyncio.start_server(served.serve, host, 0)
    port = server.sockets[0].getsockname()[1]
    served.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    try:
        yield served
    finally:
        server.close()
        server.close_clients()
        await server.wait_closed()


@contextmanager
def portal_in_a_thread(head: str, get: str) -> Iterator[Portal]:
    """Serve those who run a loop of their own."""
    started: Future[tuple[Portal, Callable[[], object]]] = Future()

    async def serve() -> None:
        stopped = asyncio.Event()
        stop = partial(asyncio.get_running_loop().call_soon_threadsafe, stopped.set)
        async with portal(head=[head], get=[get]) as served:
            started.set_result((served, stop))
            await stopped.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="portal")
    thread.start()
    served, stop = started.result(timeout=10)
    try:
        yield served
    finally:
        stop()
        thread.join()


class Answers(httpx.AsyncBaseTransport):
    """A network of named URLs; any that a test didn't name is an error of the test."""

    def __init__(self, answers: dict[str, int | Exception]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(f"{request.method} {request.url}")
        answer = self.answers[str(request.url)]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer)
