from typing import Any
from uuid import UUID

import pytest

from fieldgate.db.engine import Database
from tests.support.gateway import signed_in


@pytest.fixture
def caller(deployed: Database, owner_id: UUID) -> dict[str, Any]:
    return signed_in(owner_id, permissions=["media:write"])
