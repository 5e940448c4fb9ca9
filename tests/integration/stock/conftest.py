import pytest

from fieldgate.db.engine import Database
from tests.support.stock import Depot


@pytest.fixture
def depot(live_database: Database) -> Depot:
    return Depot(live_database)
