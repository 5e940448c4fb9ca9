"""Things that happen in the middle of an upload."""

import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from fieldgate_client.errors import NetworkError
from fieldgate_client.uploads import PendingUpload, UploadManager
from tests.support.phone import Phone, Trouble
from tests.support.sender import CHUNK, some_bytes

CONTENT = some_bytes(3 * CHUNK + 1)


def when(number: int, do: Callable[[], object]) -> Trouble:
    """Do something as request `number` leaves."""
    numbers = itertools.count(1)

    async def trouble(_: httpx.Request) -> None:
        if next(numbers) == number:
            result = do()
            if isinstance(result, Awaitable):
                await result

    return trouble


async def pending_of(manager: UploadManager) -> list[PendingUpload]:
    return manager.pending()


def stopped_in_the_middle(phone: Phone, path: Path) -> None:
    """Have the network end as the second chunk leaves; it is back afterwards."""

    def end() -> None:
        phone.parallel = 0

    phone.trouble = when(2, end)
    with pytest.raises(NetworkError):
        phone.upload(path)
    phone.trouble, phone.parallel = None, 1


async def no_route(request: httpx.Request) -> None:
    raise httpx.ConnectError("no route to host", request=request)
