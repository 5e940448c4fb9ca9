import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fieldgate.db.engine import Database
from fieldgate_client import upload_run
from tests.client.uploads.terminal import GROWER, Terminal
from tests.support.api_server import ApiServer, run_api
from tests.support.people import register
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


@pytest.fixture
def terminal(
    field: Field,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Terminal:
    field.server.run(lambda: register(field.database, GROWER))
    here = Terminal(field, tmp_path / "home", capsys)
    monkeypatch.setenv("FIELDGATE_URL", field.server.url)
    monkeypatch.setenv("FIELDGATE_HOME", str(here.home))
    monkeypatch.setattr(sys, "stdin", here)
    # The assembler has done its work before the next request comes.
    monkeypatch.setattr(upload_run, "POLL_FIRST_SECONDS", 0.0)
    return here
