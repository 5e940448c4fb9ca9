"""Second factors that are sent, and which of them is still open."""

from dataclasses import replace
from uuid import uuid4

import pytest

from fieldgate.db.engine import Database
from identity.challenging import OpenedChallenge, open_challenge, still_open
from tests.integration.identity.send_otp.conftest import GROWER, UNKNOWN
from tests.support.one_time_codes import (
    PHONE,
    change,
    let_pass,
    rows,
    send,
    verify,
    wrong_code_of,
)
from tests.support.people import Person, register


def open_second_factor(database: Database, person: Person) -> OpenedChallenge:
    return database.transact(
        lambda connection: open_challenge(
            connection,
            phone=PHONE,
            purpose="second_factor",
            user_id=person.id,
            profile="mobile",
            ip="192.0.2.7",
        )
    )


def found_open(database: Database, person: Person) -> OpenedChallenge | None:
    return database.read(lambda connection: still_open(connection, person.id))


def test_a_second_factor_keeps_what_the_login_wished_for(
    grower: Person, live_database: Database
) -> None:
    open_second_factor(live_database, grower)
    assert rows(live_database, "SELECT profile FROM otp_challenges") == [{"profile": "mobile"}]


def test_the_newest_second_factor_that_is_open_is_found(
    grower: Person, live_database: Database
) -> None:
    other = register(live_database, replace(GROWER, id=uuid4(), phone=UNKNOWN, email=None))
    assert found_open(live_database, grower) is None
    opened = []
    for _ in range(2):
        opened.append(open_second_factor(live_database, grower))
        let_pass(live_database, "61 seconds")
    send()  # to sign in by: nothing that a password was right for

    found = found_open(live_database, grower)

    assert found is not None
    assert (found.id, found.message_id) == (opened[1].id, None)
    (row,) = rows(
        live_database,
        "SELECT expires_at, sent_at[3] + interval '1 minute' AS free_at"
        " FROM otp_challenges JOIN otp_phones USING (phone) WHERE id = :id",
        id=found.id,
    )
    assert (found.expires_at, found.resend_after) == (row["expires_at"], row["free_at"])
    assert found_open(live_database, other) is None


def test_a_second_factor_that_was_sent_long_before_may_be_sent_again_now(
    grower: Person, live_database: Database
) -> None:
    open_second_factor(live_database, grower)
    let_pass(live_database, "2 minutes")
    (before,) = rows(live_database, "SELECT now() AS now")

    found = found_open(live_database, grower)

    (after,) = rows(live_database, "SELECT now() AS now")
    assert found is not None
    assert before["now"] <= found.resend_after <= after["now"]


@pytest.mark.parametrize(
    "ended",
    [
        "UPDATE otp_challenges SET expires_at = now()",
        "UPDATE otp_challenges SET verified_at = now()",
        "UPDATE users SET phone = '+254711000010'",
    ],
)
def test_a_second_factor_that_is_over_is_not_found(
    grower: Person, live_database: Database, ended: str
) -> None:
    open_second_factor(live_database, grower)
    change(live_database, ended)
    assert found_open(live_database, grower) is None


def test_a_second_factor_without_tries_left_is_not_found(
    grower: Person, live_database: Database
) -> None:
    challenge_id = open_second_factor(live_database, grower).id
    for _ in range(5):
        assert found_open(live_database, grower) is not None
        assert verify(challenge_id, wrong_code_of(challenge_id)).status == 401
    assert found_open(live_database, grower) is None
