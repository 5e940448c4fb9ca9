"""Leave to send a chunk, as the server gives it: only where it is one."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from fieldgate_client.api import Api
from fieldgate_client.database import Database
from fieldgate_client.errors import NetworkError
from fieldgate_client.signed_urls import SignedUrl, SignedUrls
from fieldgate_client.tokens import TokenStore
from tests.client.fake_api import SERVER, TOKENS, success

SIGNED: dict[str, Any] = {
    "number": 1,
    "method": "PUT",
    "url": "http://127.0.0.1:9000/1?signature=s",
    "headers": {"Content-Type": "application/octet-stream"},
    "expiresAt": "2026-01-10T11:00:00.000Z",
}


def signed(folder: Path, *urls: object, server: str = SERVER) -> SignedUrl:
    """Return what is had for chunk 1 of a server that answers so."""

    async def ask() -> SignedUrl:
        with Database(folder / "client.db") as database:
            tokens = TokenStore(database)
            tokens.save(server, TOKENS)
            transport = httpx.MockTransport(lambda _: success({"urls": urls}))
            async with Api(server, tokens, transport=transport) as api:
                return await SignedUrls(api, "u", {1: "0" * 64}, 60, lambda: 5.0).get(1, [])

    return asyncio.run(ask())


def test_leave_to_send_a_chunk(tmp_path: Path) -> None:
    assert signed(tmp_path, SIGNED) == SignedUrl(
        "PUT", SIGNED["url"], SIGNED["headers"], ends_at=5.0 + 3600
    )


@pytest.mark.parametrize(
    "change",
    [
        {"url": "file:///etc/passwd"},
        {"url": "http://[::1"},
        {"url": "http://"},
        {"url": "/relative"},
        {"url": "http://xn--/"},
        {"url": "http://127.0.0.1/a b"},
        {"url": None},
        {"number": 999},
        {"method": "PUT /x HTTP/1.1\r\n"},
        {"headers": {"A": "b\r\nC: d"}},
        {"headers": ["A"]},
        {"expiresAt": "2026-11-20T16:00:00"},
        {"expiresAt": "soon"},
    ],
    ids=str,
)
def test_leave_to_send_that_is_none(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(NetworkError, match="Not the server's answer"):
        signed(tmp_path, SIGNED | change)


@pytest.mark.parametrize("urls", [(), ("http://127.0.0.1",), (None,)])
def test_leave_to_send_that_is_lacking(tmp_path: Path, urls: tuple[object, ...]) -> None:
    with pytest.raises(NetworkError, match="Not the server's answer"):
        signed(tmp_path, *urls)


@pytest.mark.parametrize(
    ("server", "storage", "is_taken"),
    [
        ("https://api.example.org", "https://storage.example.org/1", True),
        ("https://api.example.org", "http://storage.example.org/1", False),
        ("https://api.example.org", "HTTP://192.0.2.1/1", False),
        ("https://api.example.org", "http://127.0.0.1:9000/1", True),
        ("http://127.0.0.1:8080", "http://127.0.0.1:9000/1", True),
        ("http://127.0.0.1:8080", "http://storage.example.org/1", False),
        # Somebody said --allow-http.
        ("http://192.0.2.1:8080", "http://192.0.2.1:9000/1", True),
    ],
)
def test_files_are_shown_to_nobody_to_whom_tokens_are_not(
    tmp_path: Path, server: str, storage: str, is_taken: bool
) -> None:
    if is_taken:
        assert signed(tmp_path, SIGNED | {"url": storage}, server=server).url == storage
    else:
        with pytest.raises(NetworkError, match="would show files to everybody"):
            signed(tmp_path, SIGNED | {"url": storage}, server=server)
