"""Roles that somebody names."""

from collections.abc import Sequence

from sqlalchemy import Connection, select

from fieldgate.db.tables.identity import roles
from fieldgate.errors import ErrorDetail, ValidationFailed


def check_roles(connection: Connection, names: Sequence[str], field: str) -> None:
    """Let pass names of roles that there are: one round trip, none without names.

    Raises:
        ValidationFailed: naming each that is none, by its place in `field`.

    """
    if not names:
        return
    known = set(connection.scalars(select(roles.c.name).where(roles.c.name.in_(names))))
    details = [
        ErrorDetail(f"{field}.{place}", "is not a role")
        for place, name in enumerate(names)
        if name not in known
    ]
    if details:
        raise ValidationFailed("The request is not valid.", details=details)
