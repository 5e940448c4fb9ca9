"""A device goes when its session ends, whoever ends it."""

from collections.abc import Callable

import pytest

from fieldgate.db.engine import Database
from fieldgate.errors import Unauthorized
from identity import cleaning, logout, set_user_status
from identity.refreshing import refresh
from tests.support.gateway import call
from tests.support.handsets import Handset, sign_in
from tests.support.one_time_codes import change, code_of, rows, send, set_password

type End = Callable[[Handset], None]


def log_out(handset: Handset) -> None:
    assert handset.ask(logout.handler, "POST", "/auth/logout").status == 204


def log_out_everywhere(handset: Handset) -> None:
    content = {"everywhere": True}
    assert handset.ask(logout.handler, "POST", "/auth/logout", content=content).status == 204


def be_blocked(handset: Handset) -> None:
    boss = sign_in(handset.database, "admin")
    answer = call(
        set_user_status.handler,
        "PUT",
        f"/api/v1/users/{handset.user_id}/status",
        content={"status": "blocked"},
        authorizer=boss.session.context(),
    )
    assert answer.status == 200


def reset_the_password(handset: Handset) -> None:
    phone = handset.person.phone
    challenge = send(phone, "password_reset")
    assert phone is not None
    assert set_password(challenge, code_of(challenge, phone), "sorghum & millet").status == 204


def have_ones_token_stolen(handset: Handset) -> None:
    stolen = handset.session.refresh_token
    refresh(handset.database, refresh(handset.database, stolen)[1])
    with pytest.raises(Unauthorized):
        refresh(handset.database, stolen)


def sign_in_on_twenty_more(handset: Handset) -> None:
    for _ in range(20):
        handset.sign_in_again()


def be_away_for_long(handset: Handset) -> None:
    change(
        handset.database,
        "UPDATE sessions SET expires_at = now() - interval '8 days' WHERE id = :id",
        id=handset.session_id,
    )
    assert cleaning.clean_up(handset.database)["sessions"] == 1


OF_ONE_SESSION: list[End] = [
    log_out,
    have_ones_token_stolen,
    be_away_for_long,
]
OF_ALL_SESSIONS: list[End] = [
    log_out_everywhere,
    be_blocked,
    reset_the_password,
    sign_in_on_twenty_more,
]


@pytest.fixture
def second(grower: Handset) -> Handset:
    """Another phone of the same person."""
    return grower.sign_in_again()


@pytest.mark.parametrize("end", OF_ONE_SESSION)
def test_the_devices_of_a_session_go_with_it(
    grower: Handset, second: Handset, stranger: Handset, end: End
) -> None:
    for number, handset in enumerate((grower, grower, second, stranger)):
        handset.add(f"token-{number}")

    end(grower)

    assert tokens_of(grower.database) == {
        second.session_id: 1,
        stranger.session_id: 1,
    }


@pytest.mark.parametrize("end", OF_ALL_SESSIONS)
def test_the_devices_of_all_sessions_go_with_them(
    grower: Handset, second: Handset, stranger: Handset, end: End
) -> None:
    for number, handset in enumerate((grower, second, stranger)):
        handset.add(f"token-{number}")

    end(grower)

    assert tokens_of(grower.database) == {stranger.session_id: 1}


def test_that_it_went_is_on_record_with_who_ended_the_session(grower: Handset) -> None:
    device_id = grower.add()
    log_out(grower)

    query = "SELECT actor, before FROM change_log WHERE entity = 'devices' AND action = 'delete'"
    (gone,) = rows(grower.database, query)
    assert gone["actor"] == str(grower.user_id)
    assert (gone["before"]["id"], gone["before"]["token"]) == (device_id, "***")


def test_who_signs_in_next_on_the_phone_keeps_it_when_the_first_logs_out(
    grower: Handset, stranger: Handset
) -> None:
    grower.add()
    stranger.add()

    log_out(grower)

    assert [shown["state"] for shown in stranger.devices()] == ["active"]


def test_a_session_that_goes_on_keeps_its_device(grower: Handset) -> None:
    grower.add()
    refresh(grower.database, grower.session.refresh_token)

    assert len(grower.devices()) == 1


def tokens_of(database: Database) -> dict[object, int]:
    """Count the devices of each session that has some."""
    query = "SELECT session_id, count(*) AS number FROM devices GROUP BY session_id"
    return {row["session_id"]: row["number"] for row in rows(database, query)}
