from collections.abc import Iterator
from uuid import UUID

import pytest

from fieldgate.db.engine import Database
from tests.support.connections_api import run_connections_api
from tests.support.fan_out import Switchboard
from tests.support.people import register
from tests.support.stream import Stream
from tests.support.websocket import GROWER, ClientEnd, HubFunctions, open_hub


@pytest.fixture
def board(database: Database) -> Iterator[Switchboard]:
    """Nobody is connected, and the stream holds nothing."""
    with run_connections_api() as api:
        yield Switchboard(database, api, Stream(database))


@pytest.fixture
def grower(board: Switchboard) -> UUID:
    """A user with a role of their own, `agent`."""
    return board.stream.add_user("agent")


@pytest.fixture
def hub(live_database: Database, environment: pytest.MonkeyPatch) -> Iterator[HubFunctions]:
    register(live_database, GROWER)
    with open_hub(live_database, environment) as hub:
        yield hub


@pytest.fixture
def line(hub: HubFunctions) -> ClientEnd:
    """A connection whose handshake is yet to come."""
    return hub.connect(GROWER)


@pytest.fixture
def app(line: ClientEnd) -> ClientEnd:
    """A connection that is ready."""
    line.shake_hands()
    return line
