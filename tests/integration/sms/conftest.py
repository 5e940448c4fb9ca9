from collections.abc import Iterator

import pytest

from fieldgate.db.engine import Database
from tests.support.sqs import LocalSqs, run_sqs
from tests.support.texts import Vendor, Wire, run_africas_talking, run_wire, settings_for


@pytest.fixture
def sqs(environment: pytest.MonkeyPatch) -> Iterator[LocalSqs]:
    with run_sqs() as server:
        environment.setenv("AWS_ENDPOINT_URL_SQS", server.endpoint)
        environment.setenv("SMS_QUEUE_URL", server.url)
        yield server


@pytest.fixture
def vendor(environment: pytest.MonkeyPatch) -> Iterator[Vendor]:
    """Africa's Talking, as the local stack has it; texts go there."""
    with run_africas_talking() as running:
        for name, value in settings_for(running.url).items():
            environment.setenv(name, value)
        yield running


@pytest.fixture
def wire(environment: pytest.MonkeyPatch) -> Iterator[Wire]:
    """A server in Africa's Talking's place that says what a test wants; texts go there."""
    with run_wire() as running:
        for name, value in settings_for(running.url).items():
            environment.setenv(name, value)
        yield running


@pytest.fixture
def deployed(live_database: Database, sqs: LocalSqs) -> Database:
    """The handlers' surroundings: database and queue. Yields the handlers' `Database`."""
    return live_database
