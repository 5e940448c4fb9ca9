import pytest

from tests.support.log import Log


@pytest.fixture(autouse=True)
def quiet(log: Log) -> None:
    """Keep the log to the test."""
