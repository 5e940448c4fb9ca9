"""People in a test's database."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import Connection, insert

from fieldgate.db.engine import Database
from fieldgate.db.tables.identity import user_roles, users


@dataclass(frozen=True)
class Person:
    """A user as they know themselves; `password_hash` is all that the database knows."""

    password: str
    password_hash: str | None
    phone: str | None = "+254711000009"
    email: str | None = "Grower@Farm.Example.org"
    name: str = "Grower One"
    status: str = "active"
    two_factor_enabled: bool = False
    roles: Iterable[str] = ("agent",)
    id: uuid.UUID = field(default_factory=uuid.uuid4)


def register(database: Database, person: Person) -> Person:
    """Write `person` and their roles into `database`."""
    columns = ("id", "phone", "email", "name", "password_hash", "status", "two_factor_enabled")
    row = {name: getattr(person, name) for name in columns}

    def write(connection: Connection) -> None:
        connection.execute(insert(users).values(row))
        for role in person.roles:
            connection.execute(insert(user_roles).values(user_id=person.id, role=role))

    database.transact(write, actor="tests")
    return person
