from collections.abc import Iterator
from pathlib import Path

import pytest

from fieldgate.db.engine import Database
from tests.support.api_server import ApiServer, run_api
from tests.support.phone import Field
from tests.support.s3 import LocalS3, run_s3
from tests.support.sqs import LocalSqs, run_sqs


@pytest.fixture(scope="package")
def s3_server() -> Iterator[LocalS3]:
    with run_s3() as s3:
        yield s3


@pytest.fixture
def s3(s3_server: LocalS3, monkeypatch: pytest.MonkeyPatch) -> LocalS3:
    s3_server.reset()
    monkeypatch.setattr("fieldgate.storage.s3_client.ATTEMPTS", 1)
    return s3_server


@pytest.fixture
def sqs(environment: pytest.MonkeyPatch) -> Iterator[LocalSqs]:
    with run_sqs() as server:
        environment.setenv("AWS_ENDPOINT_URL_SQS", server.endpoint)
        environment.setenv("ASSEMBLY_QUEUE_URL", server.url)
        environment.setenv("MEDIA_QUEUE_URL", server.url)
        yield server


@pytest.fixture
def server(
    environment: pytest.MonkeyPatch, live_database: Database, s3: LocalS3, sqs: LocalSqs
) -> Iterator[ApiServer]:
    """The functions behind a real HTTP server."""
    for name, value in s3.environment().items():
        environment.setenv(name, value)
    with run_api(sqs) as api:
        yield api


@pytest.fixture
def field(server: ApiServer, s3: LocalS3, live_database: Database, tmp_path: Path) -> Field:
    return Field(server, s3, live_database, tmp_path)
