"""The first administrator is made by the statements that docs/deploying.md gives."""

import re

from sqlalchemy import Connection, text

from fieldgate.db.engine import Database
from identity import store
from local.template import ROOT
from tests.support.people import Person, register


def statements() -> list[str]:
    page = (ROOT / "docs/deploying.md").read_text()
    (block,) = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    begin, *work, commit = [part.strip() for part in block.split(";") if part.strip()]
    assert (begin, commit) == ("BEGIN READ WRITE", "COMMIT")
    return work


def found(database: Database, person: Person) -> store.User:
    user = database.read(lambda connection: store.find_by_id(connection, person.id))
    assert user
    return user


def test_whoever_is_registered_is_made_an_admin_and_nobody_else(live_database: Database) -> None:
    boss = Person("", None, phone="+254711000001", email=None, roles=("farmer",))
    other = Person("", None, phone="+254711000002", email=None, roles=("farmer",))
    for person in (boss, other):
        register(live_database, person)

    def as_told(connection: Connection) -> None:
        for statement in statements():
            connection.execute(text(statement))

    for _ in range(2):  # twice does no harm
        live_database.transact(as_told)

    appointed, left = (found(live_database, person) for person in (boss, other))
    assert set(appointed.roles) == {"admin", "farmer"}
    assert "users:write" in appointed.permissions
    assert set(left.roles) == {"farmer"}
