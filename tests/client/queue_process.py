"""A client in a process of its own that sends its queue: `queue_process.py HOME SERVER [step]`.

With a step it kills itself there, as an empty battery would.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from fieldgate_client.api import Api
from fieldgate_client.database import Database
from fieldgate_client.offline_queue import OfflineQueue
from fieldgate_client.outbox import Outbox
from fieldgate_client.tokens import TokenStore
from fieldgate_client.uploads import UploadManager


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def send(home: Path, server: str) -> int:
    with Database(home / "client.db") as database:
        async with Api(server, TokenStore(database)) as api:
            drained = await OfflineQueue(database, api, UploadManager(api, database)).drain()
    return drained.sent


if __name__ == "__main__":
    for step in sys.argv[3:]:
        setattr(Outbox, step, die)
    sys.stdout.write(str(asyncio.run(send(Path(sys.argv[1]), sys.argv[2]))))
