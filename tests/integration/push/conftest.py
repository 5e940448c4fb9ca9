import pytest

from fieldgate.db.engine import Database
from tests.support.handsets import Handset, sign_in
from tests.support.pushes import Board


@pytest.fixture
def board(live_database: Database) -> Board:
    return Board(live_database)


@pytest.fixture
def grower(live_database: Database) -> Handset:
    return sign_in(live_database)


@pytest.fixture
def stranger(live_database: Database) -> Handset:
    return sign_in(live_database)
