"""The client's parts, put together for a command, and how that may end."""

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import IntEnum
from functools import partial

from fieldgate_client.api import Api
from fieldgate_client.connectivity import Connectivity, Probes, network_towards
from fieldgate_client.database import Database
from fieldgate_client.offline_queue import OfflineQueue
from fieldgate_client.tokens import TokenStore
from fieldgate_client.uploads import UploadManager


class ExitCode(IntEnum):
    """How a command ended. 2 is argparse's, 130 the shell's for Ctrl-C."""

    DONE = 0
    REFUSED = 1
    WRONG_ARGUMENTS = 2
    SIGNED_OUT = 3
    NO_NETWORK = 4
    STOPPED = 130


@dataclass(frozen=True)
class Client:
    """The client's parts, put together for one server and one folder."""

    database: Database
    api: Api
    tokens: TokenStore
    uploads: UploadManager
    queue: OfflineQueue
    connectivity: Connectivity


@dataclass(frozen=True)
class Wanted:
    """An entry of the queue whose end a command has to tell, whoever sends it."""

    id: int
    upload: str | None
    title: str


@asynccontextmanager
async def client(options: argparse.Namespace) -> AsyncIterator[Client]:
    """Put the parts together."""
    network = partial(network_towards, options.server)
    with Database(options.home / "client.db") as database:
        tokens = TokenStore(database)
        async with Api(options.server, tokens) as api:
            uploads = UploadManager(api, database, parallel=lambda: network().parallel_parts)
            yield Client(
                database,
                api,
                tokens,
                uploads,
                OfflineQueue(database, api, uploads),
                Connectivity(Probes.of(options.server), network=network),
            )
