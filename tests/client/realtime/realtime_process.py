"""An app in a process of its own: `realtime_process.py HOME SERVER die|end OFFSET`.

It says what it hears; told of that offset it dies, as by an empty battery, or ends when it has
dealt with it.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from fieldgate_client.api import Api
from fieldgate_client.database import Database
from fieldgate_client.realtime import Realtime, Update
from fieldgate_client.tokens import TokenStore


async def listen(home: Path, server: str, how: str, offset: int) -> None:
    done = asyncio.Event()

    async def hear(update: Update) -> None:
        sys.stdout.write(f"{update.position.offset}\n")
        sys.stdout.flush()
        if update.position.offset == offset:
            if how == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            done.set()

    with Database(home / "client.db") as database:
        async with (
            Api(server, TokenStore(database)) as api,
            Realtime(api, database, on_update=hear),
        ):
            await done.wait()


if __name__ == "__main__":
    asyncio.run(listen(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])))
