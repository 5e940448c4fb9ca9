from collections.abc import Iterator
from pathlib import Path

import pytest

from fieldgate.db.engine import Database
from tests.support.api_server import ApiServer, run_api
from tests.support.phone import Field
from tests.support.s3 import LocalS3
from tests.support.sqs import LocalSqs


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
