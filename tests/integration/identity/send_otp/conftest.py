from typing import Any

import pytest

from fieldgate.db.engine import Database
from tests.support.people import Person, register
from tests.support.sqs import QUEUE, run_sqs

GROWER = Person("", None)
UNKNOWN = "+254711000010"


@pytest.fixture
def grower(live_database: Database) -> Person:
    return register(live_database, GROWER)


@pytest.fixture
def sqs(environment: pytest.MonkeyPatch) -> Any:
    with run_sqs() as sqs:
        environment.setenv("AWS_ENDPOINT_URL_SQS", sqs.endpoint)
        environment.setenv("SMS_QUEUE_URL", f"{sqs.endpoint}/123456789012/{QUEUE}")
        yield sqs
