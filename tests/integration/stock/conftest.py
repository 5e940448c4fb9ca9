from collections.abc import Iterator

import pytest

from fieldgate.db.engine import Database
from tests.support.sqs import LocalSqs, run_sqs
from tests.support.stock import Depot


@pytest.fixture
def depot(live_database: Database) -> Depot:
    return Depot(live_database)


@pytest.fixture
def push_queue(environment: pytest.MonkeyPatch) -> Iterator[LocalSqs]:
    with run_sqs() as server:
        environment.setenv("AWS_ENDPOINT_URL_SQS", server.endpoint)
        environment.setenv("PUSH_QUEUE_URL", server.url)
        yield server
