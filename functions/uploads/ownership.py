"""Whose media and uploads a caller may see and change."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from fieldgate.db.engine import violated_constraint
from fieldgate.errors import Unauthorized
from fieldgate.http import Caller


def visible_owner(caller: Caller) -> UUID | None:
    """Return the only owner whose media `caller` may see, or None when it may see everybody's."""
    return None if caller.may("media:read_all") else caller.user_id


def changeable_owner(caller: Caller) -> UUID | None:
    """Return the only owner whose media `caller` may change, or None for everybody's."""
    return None if caller.may("media:write_all") else caller.user_id


@contextmanager
def owner_needed() -> Iterator[None]:
    """Make a row that would have no owner a refusal: the token outlived its user.

    Raises:
        Unauthorized: there is no such user (any more).

    """
    try:
        yield
    except IntegrityError as error:
        if not violated_constraint(error).endswith("_owner_id_users"):
            raise
        raise Unauthorized("This account no longer exists.") from None
