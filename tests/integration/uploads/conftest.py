from uuid import UUID

import pytest

from fieldgate.db.engine import Database
from fieldgate.storage.s3 import S3Storage
from tests.support.assembly import Yard
from tests.support.gateway import signed_in
from tests.support.media import Darkroom, add_user
from tests.support.processing import Interrupted
from tests.support.s3 import MEDIA, ORIGINALS, STAGING, LocalS3
from tests.support.sender import OWN, Sender
from tests.support.sqs import LocalSqs


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


@pytest.fixture
def interrupted(s3: LocalS3) -> Interrupted:
    return Interrupted(s3.place(MEDIA), s3.credentials)


@pytest.fixture
def asked() -> list[str]:
    """The uploads that somebody was asked to put together."""
    return []
