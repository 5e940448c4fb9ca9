from collections.abc import Iterator
from uuid import UUID

import pytest

from fieldgate.db.engine import Database
from fieldgate.storage.s3 import S3Storage
from tests.support.media import Darkroom, add_user
from tests.support.s3 import MEDIA, ORIGINALS, LocalS3, run_s3
from tests.support.sqs import LocalSqs, run_sqs


@pytest.fixture(scope="package")
def s3_server() -> Iterator[LocalS3]:
    with run_s3() as s3:
        yield s3


@pytest.fixture
def s3(s3_server: LocalS3, monkeypatch: pytest.MonkeyPatch) -> LocalS3:
    """The gate before empty buckets; a call that fails is not tried again, which would wait."""
    s3_server.reset()
    monkeypatch.setattr("fieldgate.storage.s3_client.ATTEMPTS", 1)
    return s3_server


@pytest.fixture
def sqs(environment: pytest.MonkeyPatch) -> Iterator[LocalSqs]:
    with run_sqs() as server:
        environment.setenv("AWS_ENDPOINT_URL_SQS", server.endpoint)
        yield server


@pytest.fixture
def originals(s3: LocalS3) -> S3Storage:
    return S3Storage(s3.place(ORIGINALS), s3.credentials)


@pytest.fixture
def published(s3: LocalS3) -> S3Storage:
    return S3Storage(s3.place(MEDIA), s3.credentials)


@pytest.fixture
def owner_id(database: Database) -> UUID:
    return add_user(database)


@pytest.fixture
def darkroom(
    database: Database, s3: LocalS3, originals: S3Storage, published: S3Storage, owner_id: UUID
) -> Darkroom:
    return Darkroom(database, s3, originals, published, owner_id)


@pytest.fixture
def deployed(
    environment: pytest.MonkeyPatch, live_database: Database, s3: LocalS3, sqs: LocalSqs
) -> Database:
    """The handlers' surroundings: database, buckets and queue. Yields the handlers' `Database`."""
    for name, value in s3.environment().items():
        environment.setenv(name, value)
    return live_database
