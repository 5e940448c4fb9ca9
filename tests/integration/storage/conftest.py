import pytest

from fieldgate.storage.s3 import S3Storage
from tests.support.s3 import MEDIA, ORIGINALS, LocalS3


@pytest.fixture
def s3_gate(s3_server: LocalS3) -> LocalS3:
    """The gate before empty buckets."""
    s3_server.reset()
    return s3_server


@pytest.fixture
def originals(s3_gate: LocalS3) -> S3Storage:
    return S3Storage(s3_gate.place(ORIGINALS), s3_gate.credentials)


@pytest.fixture
def published(s3_gate: LocalS3) -> S3Storage:
    return S3Storage(s3_gate.place(MEDIA), s3_gate.credentials, public_read=True)
