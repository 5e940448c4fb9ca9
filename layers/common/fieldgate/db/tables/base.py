"""What every table is made with: the metadata, the names of constraints, and two columns."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Column, DateTime, MetaData, Uuid, func

METADATA = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    }
)


def id_column() -> Column[UUID]:
    """Return the primary key of a domain table, made by the server."""
    return Column("id", Uuid, primary_key=True, server_default=func.uuidv7())


def time_column(name: str) -> Column[datetime]:
    """Return a UTC time that the server fills in."""
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.now())
