import pytest

from fieldgate.db.engine import Database
from tests.support.password_logins import GROWER
from tests.support.people import Person, register


@pytest.fixture
def grower(live_database: Database) -> Person:
    return register(live_database, GROWER)
