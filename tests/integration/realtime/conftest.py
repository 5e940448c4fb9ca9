from collections.abc import Iterator
from uuid import UUID

import pytest

from fieldgate.db.engine import Database
from tests.support.connections_api import run_connections_api
from tests.support.fan_out import Switchboard
from tests.support.stream import Stream


@pytest.fixture
def board(database: Database) -> Iterator[Switchboard]:
    """Nobody is connected, and the stream holds nothing."""
    with run_connections_api() as api:
        yield Switchboard(database, api, Stream(database))


@pytest.fixture
def grower(board: Switchboard) -> UUID:
    """A user with a role of their own, `agent`."""
    return board.stream.add_user("agent")
