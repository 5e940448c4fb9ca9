"""Whose media a caller may see."""

from uuid import UUID

from fieldgate.http import Caller

EVERYBODYS = "media:read_all"


def visible_owner(caller: Caller) -> UUID | None:
    """Return the only owner whose media `caller` may see, or None when it may see everybody's."""
    return None if caller.may(EVERYBODYS) else caller.user_id
