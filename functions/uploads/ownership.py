"""Whose media a caller may see and change."""

from uuid import UUID

from fieldgate.http import Caller


def visible_owner(caller: Caller) -> UUID | None:
    """Return the only owner whose media `caller` may see, or None when it may see everybody's."""
    return None if caller.may("media:read_all") else caller.user_id


def changeable_owner(caller: Caller) -> UUID | None:
    """Return the only owner whose media `caller` may change, or None for everybody's."""
    return None if caller.may("media:write_all") else caller.user_id
