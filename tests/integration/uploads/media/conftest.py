from typing import Any
from uuid import UUID

import pytest

from fieldgate.db.engine import Database
from tests.support.gateway import signed_in
from tests.support.media import Darkroom, add_user
from tests.support.media_requests import ADMIN, OWN, develop
from uploads.store import Media


@pytest.fixture
def caller(deployed: Database, owner_id: UUID) -> dict[str, Any]:
    return signed_in(owner_id, permissions=OWN)


@pytest.fixture
def stranger(deployed: Database, database: Database) -> dict[str, Any]:
    return signed_in(add_user(database, "Brian"), permissions=OWN)


@pytest.fixture
def admin(deployed: Database, database: Database) -> dict[str, Any]:
    return signed_in(add_user(database, "Chebet"), permissions=ADMIN)


@pytest.fixture
def ready(darkroom: Darkroom) -> Media:
    media = darkroom.upload()
    develop(darkroom, media)
    return media
