"""The front door's WebSocket: who is let in, and what passes."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import aiohttp
import pytest
from websockets.exceptions import InvalidStatus

from tests.support.websocket_door import STAGE, Served, closed, run, until

KB = 1024


async def sent_until_held_back(send: Callable[[str], Awaitable[None]], text: str) -> int:
    """Send again and again until that takes long; returns how often it was done."""
    sent = 0
    with suppress(TimeoutError):
        while True:
            async with asyncio.timeout(0.3):
                await send(text)
            sent += 1
    return sent


def test_it_passes_messages_both_ways_with_headers_and_query() -> None:
    async def story(served: Served) -> None:
        headers = {"Authorization": "Bearer a.b.c", "Origin": "https://app.example"}
        async with served.connect("?access_token=a%2Bb&id=1", additional_headers=headers) as client:
            for text in ("hello", '{"type":6}\x1e', "é" * 1000, ""):
                await client.send(text)
                assert await client.recv() == text
        assert served.cloud.requests == [(STAGE, "access_token=a%2Bb&id=1")]
        given = served.cloud.headers
        assert (given["Authorization"], given["Origin"]) == ("Bearer a.b.c", "https://app.example")
        assert given["User-Agent"].startswith("Python/")
        assert "Sec-WebSocket-Extensions" not in given

    run(story)


@pytest.mark.parametrize("text", ["x" * 32 * KB, "é" * 16 * KB])
def test_a_message_may_have_32_kb(text: str) -> None:
    async def story(served: Served) -> None:
        async with served.connect() as client:
            await client.send(text)
            assert await client.recv() == text

    run(story)


def test_a_function_may_send_128_kb() -> None:
    async def story(served: Served) -> None:
        async with served.connect(max_size=None) as client:
            await until(lambda: bool(served.cloud.sockets))
            await served.cloud.sockets[0].send_str("x" * 128 * KB)
            assert len(await client.recv()) == 128 * KB
            await served.cloud.sockets[0].send_str("x" * (128 * KB + 1))
            assert (await closed(client))[0] == 1009

    run(story)


@pytest.mark.parametrize("status", [401, 403, 500])
def test_a_refused_handshake_is_refused_with_the_same_status(status: int) -> None:
    async def story(served: Served) -> None:
        served.cloud.refuse_with = status
        with pytest.raises(InvalidStatus) as refused:
            await served.connect()
        assert refused.value.response.status_code == status

    run(story)


def test_a_cloud_that_does_not_answer_is_unavailable() -> None:
    async def story(served: Served) -> None:
        served.cloud.answering.clear()
        with pytest.raises(InvalidStatus) as refused:
            await served.connect()
        assert refused.value.response.status_code == 503
        served.cloud.answering.set()

    run(story, handshake_seconds=0.1)


def test_a_plain_request_is_told_to_upgrade() -> None:
    async def story(served: Served) -> None:
        async with aiohttp.ClientSession() as session:
            for headers in ({}, {"Upgrade": "websocket", "Connection": "Upgrade"}):
                async with session.get(served.url, headers=headers) as answer:
                    assert (answer.status, answer.headers["Upgrade"]) == (426, "websocket")
                    assert (await answer.json())["message"] == "Upgrade Required"
        assert served.cloud.requests == []

    run(story)


def test_pings_are_answered_by_the_door_itself() -> None:
    async def story(served: Served) -> None:
        served.cloud.reading.clear()
        async with served.connect() as client:
            await (await client.ping("are you there"))
        assert served.cloud.heard == []
        served.cloud.reading.set()

    run(story)


def test_many_are_served_at_once() -> None:
    async def story(served: Served) -> None:
        clients = await asyncio.gather(*(served.connect() for _ in range(250)))
        for n, client in enumerate(clients):
            await client.send(f"I am {n}")
        answers = await asyncio.gather(*(client.recv() for client in clients))
        assert answers == [f"I am {n}" for n in range(250)]
        await asyncio.gather(*(client.close() for client in clients))

    run(story)


def test_who_does_not_read_holds_back_the_cloud() -> None:
    async def story(served: Served) -> None:
        async with served.connect(max_queue=1, close_timeout=0.1) as client:
            await until(lambda: bool(served.cloud.sockets))
            sent = await sent_until_held_back(served.cloud.sockets[0].send_str, "x" * 100 * KB)
            assert 0 < sent < 200
            for _ in range(sent):
                assert len(await client.recv()) == 100 * KB

    run(story)


def test_a_cloud_that_does_not_read_holds_back_the_client() -> None:
    async def story(served: Served) -> None:
        served.cloud.reading.clear()
        async with served.connect(close_timeout=0.1) as client:
            sent = await sent_until_held_back(client.send, "x" * 30 * KB)
            assert 0 < sent < 1000
            served.cloud.reading.set()
            assert len(await client.recv()) == 30 * KB
            client.transport.abort()
            await until(lambda: bool(served.cloud.ended_with))

    run(story)
