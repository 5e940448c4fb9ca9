"""Devices that are registered, moved and given up at the same moment."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial

import pytest
from sqlalchemy import Connection

from fieldgate.db.engine import Database
from fieldgate.db.url import parse_url
from fieldgate.errors import FieldgateError
from identity import session_store
from identity.signing_out import sign_out
from push import device_store, devices
from push.device_tokens import encrypt_token, hash_token
from push.devices import NewDevice
from tests.support.handsets import TOKEN, Handset, sign_in
from tests.support.one_time_codes import rows
from tests.support.racing import outcomes, race, waiting


def register(handset: Handset, token: str, database: Database) -> str:
    new = NewDevice(token=token, platform="android")
    return str(devices.register(database, handset.user_id, handset.session_id, new))


def log_out(handset: Handset, database: Database) -> str:
    sign_out(database, handset.user_id, handset.session_id)
    return "out"


@pytest.fixture
def other(database_url: str) -> Iterator[Connection]:
    """A connection of somebody else's environment, in a transaction."""
    with (
        closing(Database(lambda: parse_url(database_url, "the test"))) as database,
        database.engine.connect() as connection,
    ):
        yield connection


@pytest.mark.parametrize("before", [False, True])
def test_a_token_registered_by_ten_people_at_once_is_one_device_of_one_of_them(
    live_database: Database, database_url: str, before: bool
) -> None:
    people = [sign_in(live_database) for _ in range(10)]
    if before:
        people[0].add()

    ids = race(database_url, [partial(register, person, TOKEN) for person in people])

    assert len(set(ids)) == 1
    (device,) = rows(live_database, "SELECT id, user_id, session_id FROM devices")
    assert str(device["id"]) == ids[0]
    (owner,) = (person for person in people if person.user_id == device["user_id"])
    assert device["session_id"] == owner.session_id
    assert [len(person.devices()) for person in people] == [
        int(person is owner) for person in people
    ]


def test_a_token_registered_twenty_times_at_once_by_one_is_one_device(
    live_database: Database, database_url: str, grower: Handset
) -> None:
    assert len(set(race(database_url, [partial(register, grower, TOKEN)] * 20))) == 1

    query = "SELECT action FROM change_log WHERE entity = 'devices'"
    assert rows(live_database, query) == [{"action": "insert"}]


def test_thirty_registrations_at_once_keep_to_twenty_devices(
    database_url: str, grower: Handset
) -> None:
    for number in range(10):
        grower.add(f"old-{number}")
    sessions = [grower, grower.sign_in_again(), grower.sign_in_again()]
    works = [partial(register, sessions[number % 3], f"token-{number}") for number in range(30)]

    new = race(database_url, works)

    assert len(set(new)) == 30
    kept = [shown["id"] for shown in grower.devices("pageSize=100")]
    assert len(kept) == 20
    assert set(kept) < set(new)


@pytest.mark.parametrize("round_", range(10))
def test_a_logout_and_a_registration_at_once_leave_no_device(
    live_database: Database, database_url: str, grower: Handset, round_: int
) -> None:
    works = [partial(register, grower, f"token-{number}") for number in range(4)]

    came = outcomes(database_url, [*works[: round_ % 5], partial(log_out, grower), *works])

    assert came["out"] == 1
    assert rows(live_database, "SELECT * FROM devices") == []


def test_a_registration_waits_for_a_logout_and_finds_that_the_session_has_ended(
    live_database: Database, grower: Handset, other: Connection
) -> None:
    session_store.end_sessions(other, grower.user_id, "logged_out", only=grower.session_id)
    with ThreadPoolExecutor(1) as thread:
        registering = waiting(thread.submit(register, grower, TOKEN, live_database), other)
        other.commit()
        with pytest.raises(FieldgateError) as refusal:
            registering.result(10)

    assert refusal.value.code == "UNAUTHORIZED"
    assert rows(live_database, "SELECT * FROM devices") == []


def test_a_logout_waits_for_a_registration_and_removes_what_it_made(
    live_database: Database, grower: Handset, other: Connection
) -> None:
    assert device_store.register(other, values(grower, TOKEN))
    with ThreadPoolExecutor(1) as thread:
        ending = waiting(thread.submit(log_out, grower, live_database), other)
        other.commit()
        ending.result(10)

    assert rows(live_database, "SELECT * FROM devices") == []


def test_a_logout_leaves_what_somebody_else_is_just_taking_over(
    live_database: Database, grower: Handset, stranger: Handset, other: Connection
) -> None:
    grower.add()
    assert device_store.register(other, values(stranger, TOKEN))
    with ThreadPoolExecutor(1) as thread:
        ending = waiting(thread.submit(log_out, grower, live_database), other)
        other.commit()
        ending.result(10)

    assert len(stranger.devices()) == 1


def test_people_with_too_many_devices_who_swap_them_never_wait_for_each_other(
    live_database: Database, database_url: str, grower: Handset, stranger: Handset
) -> None:
    """Each takes what the other would have to remove."""
    for number in range(20):
        grower.add(f"growers-{number}")
        stranger.add(f"strangers-{number}")
    works = [
        partial(register, owner, f"{token}-{number}")
        for number in range(10)
        for owner, token in ((grower, "strangers"), (stranger, "growers"))
    ]

    came = Counter(outcomes(database_url, works))

    assert "UNAVAILABLE" not in came
    assert len(came) == 20
    owned = rows(live_database, "SELECT count(*) AS number FROM devices GROUP BY user_id")
    assert all(row["number"] <= 20 for row in owned)


def test_nobody_waits_to_remove_what_somebody_else_is_just_taking_over(
    live_database: Database, grower: Handset, stranger: Handset, other: Connection
) -> None:
    ids = [grower.add(f"token-{number}") for number in range(20)]
    assert device_store.register(other, values(stranger, "token-0"))

    newest = register(grower, "one-more", live_database)
    other.commit()

    assert {shown["id"] for shown in grower.devices()} == {*ids[1:], newest}
    assert [shown["id"] for shown in stranger.devices()] == ids[:1]


def values(handset: Handset, token: str) -> dict[str, object]:
    return {
        "user_id": handset.user_id,
        "session_id": handset.session_id,
        "token_hash": hash_token(token),
        "token": encrypt_token(token),
        "kind": "token",
        "platform": "android",
        "app_version": None,
    }
