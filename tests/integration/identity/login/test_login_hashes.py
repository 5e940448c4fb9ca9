"""POST /api/v1/auth/login: hashes that are old, and passwords that change meanwhile."""

from dataclasses import replace
from typing import Any

import pytest
from argon2 import extract_parameters
from argon2.profiles import RFC_9106_LOW_MEMORY
from sqlalchemy import func, select, text, update

from fieldgate.db.engine import Database
from fieldgate.db.tables.identity import users
from fieldgate.db.tables.one_time_codes import otp_challenges
from fieldgate.db.tables.sessions import sessions
from identity import signing_in
from identity.passwords import Verdict, check_password, hash_password
from identity.sessions import NewSession
from tests.support.database import count_statements
from tests.support.password_logins import (
    BCRYPT,
    GROWER,
    PASSWORD,
    WEAK,
    assert_refused,
    sign_in,
    stored_hash,
)
from tests.support.people import Person, register
from tests.support.racing import outcomes

OTHERS = hash_password("another password")


@pytest.mark.parametrize("stored", [BCRYPT, WEAK], ids=["bcrypt", "argon2 of old"])
def test_an_old_hash_is_replaced_at_sign_in(live_database: Database, stored: str) -> None:
    person = register(live_database, replace(GROWER, password_hash=stored))

    assert_refused(sign_in(password="wrong"))
    assert stored_hash(live_database, person) == stored
    assert sign_in().status == 200

    now = stored_hash(live_database, person)
    assert extract_parameters(now) == RFC_9106_LOW_MEMORY
    assert sign_in().status == 200
    assert stored_hash(live_database, person) == now


def test_a_replaced_hash_is_in_the_change_log_with_its_request_and_masked(
    live_database: Database,
) -> None:
    person = register(live_database, replace(GROWER, password_hash=WEAK))
    answer = sign_in()

    query = text(
        "SELECT actor, request_id, changed, row_to_json(change_log)::text FROM change_log"
        " WHERE entity = 'users' AND 'password_hash' = ANY (changed) AND action = 'update'"
    )
    (row,) = live_database.read(lambda connection: connection.execute(query).all())
    assert row[0] == str(person.id)
    assert row[1] == answer.headers["x-request-id"]
    assert "argon2" not in row[3]


def test_a_password_changed_meanwhile_is_not_put_back(live_database: Database) -> None:
    from identity import store

    person = register(live_database, replace(GROWER, password_hash=WEAK))
    seen = live_database.read(lambda connection: store.find_by_id(connection, person.id))
    assert seen is not None
    changed = update(users).where(users.c.id == person.id).values(password_hash="newer")
    live_database.transact(lambda connection: connection.execute(changed))

    live_database.transact(lambda connection: store.replace_password_hash(connection, seen, "old"))

    assert stored_hash(live_database, person) == "newer"


def test_replacing_a_hash_costs_no_more(live_database: Database) -> None:
    register(live_database, replace(GROWER, password_hash=WEAK))

    with count_statements(live_database) as traffic:
        assert sign_in().status == 200

    assert traffic.round_trips == 4
    assert (len(traffic.statements), traffic.commits, traffic.rollbacks) == (3, 1, 0)


@pytest.mark.parametrize("stored", [BCRYPT, WEAK], ids=["bcrypt", "argon2 of old"])
@pytest.mark.parametrize("two_factors", [False, True])
def test_a_hash_replaced_by_another_request_meanwhile_is_of_the_same_password(
    live_database: Database, monkeypatch: pytest.MonkeyPatch, stored: str, two_factors: bool
) -> None:
    register(live_database, replace(GROWER, password_hash=stored, two_factor_enabled=two_factors))
    anew = update(users).where(users.c.password_hash == stored)

    def checked(*credentials: Any) -> Verdict:
        live_database.transact(
            lambda connection: connection.execute(anew.values(password_hash=GROWER.password_hash))
        )
        return check_password(*credentials)

    monkeypatch.setattr(signing_in, "check_password", checked)

    assert sign_in().status == 200
    begun = select(func.count()).select_from(otp_challenges if two_factors else sessions)
    assert live_database.read(lambda connection: connection.scalar(begun)) == 1


def test_twenty_first_logins_at_once_all_succeed(
    live_database: Database, database_url: str
) -> None:
    person = register(live_database, replace(GROWER, password_hash=BCRYPT))

    def work(database: Database) -> str:
        session = NewSession.of("web")
        signing_in.sign_in(database, str(person.phone), PASSWORD, session, ip="192.0.2.7")
        return "in"

    assert outcomes(database_url, [work] * 20) == {"in": 20}

    query = text(
        "SELECT count(*) FROM change_log WHERE entity = 'users' AND 'password_hash' = ANY (changed)"
        " AND action = 'update'"
    )
    assert live_database.read(lambda connection: connection.scalar(query)) == 1
    assert extract_parameters(stored_hash(live_database, person)) == RFC_9106_LOW_MEMORY


@pytest.mark.parametrize("stored", [GROWER.password_hash, BCRYPT], ids=["argon2", "bcrypt"])
@pytest.mark.parametrize(
    ("change", "status"), [({"password_hash": OTHERS}, 401), ({"status": "blocked"}, 403)]
)
def test_who_is_shut_out_while_the_password_is_checked_gets_no_session(
    live_database: Database,
    monkeypatch: pytest.MonkeyPatch,
    stored: str,
    change: dict[str, str],
    status: int,
) -> None:
    grower = register(live_database, replace(GROWER, password_hash=stored))

    def checked(*credentials: Any) -> Verdict:
        shut_out = update(users).where(users.c.id == grower.id).values(change)
        live_database.transact(lambda connection: connection.execute(shut_out))
        return check_password(*credentials)

    monkeypatch.setattr(signing_in, "check_password", checked)

    assert sign_in().status == status
    assert (
        live_database.read(
            lambda connection: connection.scalar(select(func.count()).select_from(sessions))
        )
        == 0
    )
    assert stored_hash(live_database, grower) == change.get("password_hash", stored)


def test_a_password_that_changes_whenever_it_is_checked_is_refused(
    live_database: Database, grower: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks: list[Verdict] = []

    def checked(*credentials: Any) -> Verdict:
        checks.append(check_password(*credentials))
        changed = update(users).values(password_hash=hash_password(PASSWORD))
        live_database.transact(lambda connection: connection.execute(changed))
        return checks[-1]

    monkeypatch.setattr(signing_in, "check_password", checked)

    assert_refused(sign_in())
    assert [verdict.correct for verdict in checks] == [True, True]
