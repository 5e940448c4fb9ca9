"""Which rounds of schedules are at work."""

from sqlalchemy import Column, DateTime, Table, Text, Uuid

from fieldgate.db.tables.base import METADATA

schedule_leases = Table(
    "schedule_leases",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("holder", Uuid, nullable=False),
    Column("leased_until", DateTime(timezone=True), nullable=False),
)
