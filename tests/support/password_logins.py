"""A user with a password, and how they sign in with it."""

from typing import Any

import bcrypt
from argon2 import PasswordHasher
from sqlalchemy import select

from fieldgate.db.engine import Database
from fieldgate.db.tables.identity import users
from identity import login
from identity.passwords import hash_password
from tests.support.gateway import Answer, call
from tests.support.people import Person

PASSWORD = "maize & beans"
GROWER = Person(PASSWORD, hash_password(PASSWORD))
WEAK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
BCRYPT = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(rounds=4)).decode()


def sign_in(identifier: Any = GROWER.phone, password: Any = PASSWORD, **more: Any) -> Answer:
    content = {"identifier": identifier, "password": password}
    return call(login.handler, "POST", "/api/v1/auth/login", content=content | more)


def stored_hash(database: Database, person: Person) -> str:
    query = select(users.c.password_hash).where(users.c.id == person.id)
    return str(database.read(lambda connection: connection.scalar(query)))


def assert_refused(answer: Answer) -> None:
    assert answer.status == 401
    assert answer.error == {
        "code": "INVALID_CREDENTIALS",
        "message": "The identifier or the password is wrong.",
        "details": [],
    }
