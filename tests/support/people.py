"""People in a test's database, and their sessions."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, func, insert

from fieldgate.db.engine import Database
from fieldgate.db.tables.identity import user_roles, users
from fieldgate.db.tables.sessions import sessions
from identity import session_store, store
from identity.sessions import NewSession, Profile, RefreshToken
from identity.token_view import Tokens
from tests.support.gateway import authorized


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


@dataclass(frozen=True)
class Phone:
    """What somebody who is signed in has."""

    access_token: str
    refresh_token: RefreshToken

    @property
    def session_id(self) -> uuid.UUID:
        return self.refresh_token.session_id

    def context(self) -> dict[str, Any]:
        """Return what the authorizer says of the access token now."""
        return authorized(f"Bearer {self.access_token}")

    @property
    def is_refused(self) -> bool:
        return self.context() == {"failure": "UNAUTHORIZED"}


def begin_session(database: Database, person: Person, profile: Profile = "web") -> Phone:
    """Sign `person` in, past passwords and codes. Needs the fixture `environment`."""
    session = NewSession.of(profile)

    def begin(connection: Connection) -> store.User | None:
        session_store.start_session(connection, person.id, session)
        return store.find_by_id(connection, person.id)

    user = database.transact(begin)
    assert user is not None
    return Phone(Tokens.of(user, session).access_token, session.token)


def begin_session_of(database: Database, event: dict[str, Any]) -> None:
    """Write the session that a sample event speaks of."""
    claims = event["requestContext"]["authorizer"]["lambda"]["claims"]
    session = {"id": claims["sid"], "user_id": claims["sub"], "profile": "web"}
    session |= {"current_hash": b"", "expires_at": func.now() + timedelta(hours=1)}
    database.transact(lambda connection: connection.execute(insert(sessions).values(session)))
