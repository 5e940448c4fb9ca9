"""What the smoke test says of checks that it can't try."""

import asyncio
import ssl
import time
from typing import Any

import aiohttp
import httpx
import pytest

from tools.smoke_account import check_account
from tools.smoke_report import Report
from tools.smoke_settings import Settings
from tools.smoke_talk import Talk

NOWHERE = "127.0.0.1:9"
SETTINGS = Settings(f"http://{NOWHERE}", f"ws://{NOWHERE}", identifier="admin", password="secret")
TOKENS = {"accessToken": "token", "expiresIn": 900}


def told_where(profile: httpx.Response, capsys: pytest.CaptureFixture[str]) -> str:
    """Check an environment that signs anybody in, has this profile, and fails at all else."""
    signed_out = False

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal signed_out
        if request.url.path.endswith("/auth/login"):
            return httpx.Response(200, json={"data": TOKENS})
        if request.url.path.endswith("/auth/logout"):
            signed_out = True
            return httpx.Response(204)
        if request.url.path.endswith("/auth/me"):
            return httpx.Response(401) if signed_out else profile
        return httpx.Response(500)

    async def check() -> None:
        transport = httpx.MockTransport(answer)
        async with (
            httpx.AsyncClient(transport=transport, base_url=SETTINGS.base_url) as http,
            aiohttp.ClientSession() as sockets,
        ):
            talk = Talk(SETTINGS, http, sockets, ssl.create_default_context())
            await check_account(Report(settled_at=time.monotonic()), SETTINGS, talk)

    asyncio.run(check())
    return " ".join(capsys.readouterr().out.split())


def profile_with(*permissions: str) -> httpx.Response:
    data: dict[str, Any] = {"permissions": permissions, "roles": ["agent"]}
    return httpx.Response(200, json={"data": data})


def test_an_unread_profile_is_not_a_lack_of_permissions(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = told_where(httpx.Response(500), capsys)
    assert "FAILED GET /auth/me expected 200, got 500" in told
    assert "lacks" not in told
    for left_out in ("GET /health/dependencies", "an upload"):
        assert f"left out {left_out} GET /auth/me failed, so what the account may do" in told
    assert "ok sign out" in told


def test_permissions_that_are_missing_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    told = told_where(profile_with("media:write"), capsys)
    assert "left out GET /health/dependencies the account lacks health:read" in told
    assert "left out an upload the account lacks media:read" in told
    assert "media:write" not in told


def test_what_is_permitted_is_tried(capsys: pytest.CaptureFixture[str]) -> None:
    told = told_where(profile_with("health:read", "media:read", "media:write"), capsys)
    assert "FAILED GET /health/dependencies" in told
    assert "FAILED presign a photo" in told
    assert "lacks" not in told
