"""Callers whom the database no longer knows."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import IntegrityError

from fieldgate.db.engine import violated_constraint
from fieldgate.errors import Unauthorized


@contextmanager
def a_known_caller() -> Iterator[None]:
    """Refuse who was deleted since the authorizer let them by: rows name who wrote them.

    Raises:
        Unauthorized: a row was to name a user that there isn't.

    """
    try:
        yield
    except IntegrityError as error:
        if not violated_constraint(error).endswith("_by_users"):
            raise
        raise Unauthorized("This account no longer exists.") from None
