import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.client.offline_queue.phone import Phone


@pytest.fixture
def with_phone(tmp_path: Path) -> Callable[[Callable[[Phone], Awaitable[None]]], None]:
    def run(story: Callable[[Phone], Awaitable[None]]) -> None:
        async def telling() -> None:
            phone = Phone(tmp_path)
            try:
                async with asyncio.timeout(10), phone.api:
                    await story(phone)
            finally:
                phone.database.close()

        asyncio.run(telling())

    return run
