from collections.abc import Iterator

import pytest

from fieldgate.db.engine import Database
from tests.support.handsets import Handset, sign_in
from tests.support.pushes import Board
from tests.support.sqs import LocalSqs, run_sqs


@pytest.fixture
def board(live_database: Database) -> Board:
    return Board(live_database)


@pytest.fixture
def push_queue(environment: pytest.MonkeyPatch) -> Iterator[LocalSqs]:
    with run_sqs() as server:
        environment.setenv("AWS_ENDPOINT_URL_SQS", server.endpoint)
        environment.setenv("PUSH_QUEUE_URL", server.url)
        yield server


@pytest.fixture
def grower(live_database: Database) -> Handset:
    return sign_in(live_database)


@pytest.fixture
def stranger(live_database: Database) -> Handset:
    return sign_in(live_database)
