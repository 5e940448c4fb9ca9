from collections.abc import Iterator
from uuid import UUID

import pytest

from fieldgate.db.engine import Database
from fieldgate.storage.s3 import S3Storage
from tests.support.assembly import Yard
from tests.support.gateway import signed_in
from tests.support.media import Darkroom, add_user
from tests.support.s3 import MEDIA, ORIGINALS, STAGING, LocalS3, run_s3
from tests.support.sender import OWN, Sender
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
        environment.setenv("ASSEMBLY_QUEUE_URL", server.url)
        environment.setenv("MEDIA_QUEUE_URL", server.url)
        yield server


@pytest.fixture
def originals(s3: LocalS3) -> S3Storage:
    return S3Storage(s3.place(ORIGINALS), s3.credentials)


@pytest.fixture
def staging(s3: LocalS3) -> S3Storage:
    return S3Storage(s3.place(STAGING), s3.credentials)


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
def yard(
    database: Database,
    s3: LocalS3,
    staging: S3Storage,
    originals: S3Storage,
    published: S3Storage,
    owner_id: UUID,
) -> Yard:
    return Yard(database, s3, staging, originals, published, owner_id)


@pytest.fixture
def sender(deployed: Database, owner_id: UUID, s3: LocalS3, sqs: LocalSqs) -> Sender:
    """A phone whose owner may do with media what is theirs."""
    return Sender(signed_in(owner_id, permissions=OWN), deployed, s3, sqs)


@pytest.fixture
def stranger(deployed: Database, s3: LocalS3, sqs: LocalSqs) -> Sender:
    """Another owner's phone."""
    return Sender(signed_in(add_user(deployed, "Stranger"), permissions=OWN), deployed, s3, sqs)


@pytest.fixture
def deployed(
    environment: pytest.MonkeyPatch, live_database: Database, s3: LocalS3, sqs: LocalSqs
) -> Database:
    """The handlers' surroundings: database, buckets and queue. Yields the handlers' `Database`."""
    for name, value in s3.environment().items():
        environment.setenv(name, value)
    return live_database
