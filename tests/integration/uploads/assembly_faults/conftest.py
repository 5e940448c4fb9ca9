from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from fieldgate.db.engine import Database
from fieldgate.db.url import parse_url
from tests.support.assembly import MIB, Yard
from tests.support.assembly_faults import KINDS, Kind, Meeting
from tests.support.s3 import ORIGINALS, LocalS3
from uploads import assembling


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Kind:
    # The least there may be, so that a few mebibytes are two parts.
    monkeypatch.setattr(assembling, "PART_BYTES", 5 * MIB)
    return KINDS[request.param]


@pytest.fixture
def versioned(s3: LocalS3) -> None:
    """Every object that was ever there stays to be seen."""
    s3.client().put_bucket_versioning(
        Bucket=ORIGINALS, VersioningConfiguration={"Status": "Enabled"}
    )


@pytest.fixture
def meeting(s3: LocalS3) -> Meeting:
    return Meeting(s3.place(ORIGINALS), s3.credentials)


@pytest.fixture
def second(yard: Yard, database_url: str) -> Iterator[Yard]:
    """Another environment, on the same database and storage."""
    with closing(Database(lambda: parse_url(database_url, "the test"))) as database:
        yield replace(yard, database=database)
