"""POST /api/v1/notifications and GET /api/v1/notifications/{id}."""

import uuid
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from fieldgate.db.engine import Database
from fieldgate.db.tables.push import notification_recipients, notifications
from fieldgate.push import notifying, payload
from fieldgate.push.notifying import DUE, expand
from push import get_notification, send_notification
from push.sending import MOST_USERS
from tests.conftest import run_sql
from tests.support.database import count_statements
from tests.support.gateway import Answer, call, signed_in
from tests.support.log import Log
from tests.support.pushes import Board
from tests.support.racing import race
from tests.support.sqs import LocalSqs

PATH = "/api/v1/notifications"
FITS = payload.MAX_BYTES - payload.RESERVED_BYTES


@pytest.fixture
def admin(board: Board) -> UUID:
    return board.add_person("admin", devices=0)


def send(
    admin: UUID, *, key: str | None = None, permission: str = "notifications:send", **content: Any
) -> Answer:
    """Tell all agents that it rains; a value of `...` leaves the field out."""
    wanted = {"audience": {"roles": ["agent"]}, "title": "Rain", "body": "Bring it in."} | content
    return call(
        send_notification.handler,
        "POST",
        PATH,
        content={name: value for name, value in wanted.items() if value is not ...},
        headers={"Idempotency-Key": key} if key else {},
        authorizer=signed_in(admin, permissions=[permission]),
    )


def look(admin: UUID, notification_id: object, *, permission: str = "notifications:send") -> Answer:
    return call(
        get_notification.handler,
        "GET",
        f"{PATH}/{notification_id}",
        authorizer=signed_in(admin, permissions=[permission]),
        route=f"GET {PATH}/{{id}}",
    )


def test_it_is_in_the_inboxes_before_the_answer_and_the_workers_are_woken(
    board: Board, admin: UUID, push_queue: LocalSqs
) -> None:
    agents = {board.add_person("agent") for _ in range(3)}
    other = board.add_person("farmer")
    answer = send(admin, audience={"roles": ["agent"], "userIds": [str(other), str(other)]})
    assert answer.status == 202
    notification_id = UUID(answer.data["notificationId"])
    recipients = board.recipients(notification_id)
    assert {row["user_id"] for row in recipients} == agents | {other}
    assert {row["state"] for row in recipients} == {"queued"}
    (row,) = board.notifications()
    assert (row["created_by"], row["kind"]) == (admin, "general")
    assert row["collapse_key"] == str(notification_id)
    (record,) = push_queue.receive()["Records"]
    assert record["body"] == DUE


def test_its_counts_tell_how_far_it_is(board: Board, admin: UUID) -> None:
    board.add_person("agent")
    board.add_person("agent", devices=0)
    answer = send(admin, channel="stock_expiry")
    notification_id = answer.data["notificationId"]
    found = look(admin, notification_id).data
    assert found["state"] == "queued"
    assert found["counts"] == {"queued": 2, "sent": 0, "suppressed": 0, "failed": 0}
    board.deliver()
    found = look(admin, notification_id).data
    assert found["id"] == notification_id
    assert (found["state"], found["channel"]) == ("done", "stock_expiry")
    assert found["counts"] == {"queued": 0, "sent": 1, "suppressed": 1, "failed": 0}


def test_one_that_is_for_nobody_is_done(board: Board, admin: UUID) -> None:
    answer = send(admin, audience={"userIds": [str(uuid.uuid4())]})
    found = look(admin, answer.data["notificationId"]).data
    assert (found["state"], set(found["counts"].values())) == ("done", {0})


def test_who_is_not_active_is_not_told(board: Board, admin: UUID) -> None:
    blocked = board.add_person("agent")
    board.database.transact(
        lambda connection: connection.execute(
            text("UPDATE users SET status = 'blocked' WHERE id = :id"), {"id": blocked}
        )
    )
    answer = send(admin, audience={"roles": ["agent"], "userIds": [str(blocked)]})
    assert board.recipients(UUID(answer.data["notificationId"])) == []


@pytest.mark.parametrize("handler", [send, lambda admin, **how: look(admin, uuid.uuid4(), **how)])
def test_it_takes_the_permission(board: Board, admin: UUID, handler: Any) -> None:
    answer = handler(admin, permission="users:read")
    assert (answer.status, answer.error["code"]) == (403, "FORBIDDEN")


def test_there_is_nothing_at_an_id_that_is_none(board: Board, admin: UUID) -> None:
    assert look(admin, uuid.uuid4()).status == 404
    assert look(admin, "x").status == 400


def test_the_same_request_is_told_once(board: Board, admin: UUID, push_queue: LocalSqs) -> None:
    board.add_person("agent")
    first, second = send(admin, key="k1"), send(admin, key="k1")
    assert first.data == second.data
    assert second.headers["idempotency-replayed"] == "true"
    assert len(board.notifications()) == 1
    assert send(admin, key="k1", title="Sun").status == 409


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({"audience": ...}, "audience"),
        ({"audience": {}}, "audience"),
        ({"audience": {"roles": [], "userIds": []}}, "audience"),
        ({"audience": {"roles": ["agent", "nobody"]}}, "audience.roles.1"),
        ({"audience": {"roles": ["Agent"]}}, "audience.roles.0"),
        ({"audience": {"userIds": ["x"]}}, "audience.userIds.0"),
        ({"audience": {"channels": ["all"]}}, "audience.channels"),
        ({"title": ...}, "title"),
        ({"title": " "}, "title"),
        ({"title": "t" * 201}, "title"),
        ({"title": "a\0b"}, "title"),
        ({"body": "\ud800"}, "body"),
        ({"body": 7}, "body"),
        ({"channel": "alarm"}, "channel"),
        ({"data": {"n": 7}}, "data.n"),
        ({"data": {"from": "x"}}, "data"),
        ({"data": {"google.x": "x"}}, "data"),
        ({"data": {"": "x"}}, "data"),
        ({"data": {"kind": "x"}}, "data"),
        ({"data": {"n": "\0"}}, "data.n"),
        ({"priority": "high"}, "priority"),
    ],
)
def test_what_is_wrong_is_named(
    board: Board, admin: UUID, content: dict[str, Any], field: str
) -> None:
    answer = send(admin, **content)
    assert (answer.status, answer.error["code"]) == (400, "VALIDATION_ERROR")
    assert field in [detail["field"] for detail in answer.error["details"]]
    assert board.notifications() == []


def test_too_many_users_are_refused(board: Board, admin: UUID) -> None:
    users = [str(uuid.UUID(int=number)) for number in range(MOST_USERS + 1)]
    assert send(admin, audience={"userIds": users[:-1]}).status == 202
    assert send(admin, audience={"userIds": users}).status == 400


@pytest.mark.parametrize("letter", ["a", "é", "\N{CHEESE WEDGE}", '"'])
def test_what_no_push_can_carry_is_refused_at_the_door(
    board: Board, admin: UUID, letter: str
) -> None:
    cost = payload.size(letter, "x", {}) - payload.size("", "x", {})
    room = FITS - payload.size("t", "x", {"d": ""})
    most = {"d": letter * (room // cost)}
    assert send(admin, title="t", body="x", data=most).status == 202
    answer = send(admin, title="t", body="x", data={"d": most["d"] + letter})
    assert answer.status == 400
    (detail,) = answer.error["details"]
    assert f"{FITS} fit" in detail["message"]


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    content=st.fixed_dictionaries(
        {},
        optional={
            "audience": st.recursive(
                st.none() | st.text(max_size=5) | st.integers(),
                lambda inner: (
                    st.lists(inner, max_size=3)
                    | st.dictionaries(st.sampled_from(["userIds", "roles", "x"]), inner)
                ),
                max_leaves=5,
            ),
            "title": st.text(max_size=20) | st.integers(),
            "body": st.text(max_size=20) | st.none(),
            "data": st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.booleans()),
            "channel": st.text(max_size=12),
        },
    )
)
def test_anything_is_taken_or_refused(board: Board, admin: UUID, content: dict[str, Any]) -> None:
    answer = send(admin, **content)
    # 429: so many requests a minute are more than anybody may make.
    assert answer.status in {202, 400, 429}


def test_a_person_who_is_no_more_tells_nobody(board: Board) -> None:
    assert send(uuid.uuid4()).status == 401


def test_no_text_stands_in_log_or_change_log(board: Board, admin: UUID, log: Log) -> None:
    send(admin, title="SECRET-T", body="SECRET-B", data={"d": "SECRET-D"})
    assert "SECRET" not in log.text
    rows = board.database.read(
        lambda connection: connection.execute(
            text("SELECT CAST(after AS text) FROM change_log WHERE entity = 'notifications'")
        ).all()
    )
    assert len(rows) == 1
    assert "SECRET" not in str(rows)


def test_it_costs_four_round_trips(board: Board, admin: UUID) -> None:
    board.add_person("agent")
    with count_statements(board.database) as traffic:
        assert send(admin).status == 202
    # Roles, notification, recipients, commit.
    assert traffic.round_trips == 4


def test_an_audience_of_thousands_is_written_down_in_pages(
    board: Board, admin: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifying.expand, "__defaults__", (4,))
    monkeypatch.setattr("push.delivering.PAGE", 4)
    people = {board.add_person("agent", devices=0) for _ in range(11)}
    notification_id = UUID(send(admin).data["notificationId"])
    assert len(board.recipients(notification_id)) == 4
    assert look(admin, notification_id).data["state"] == "queued"
    for pages in (8, 11):
        assert board.wakes.count(0) == (pages == 11)  # by each full page
        board.deliver()
        assert len(board.recipients(notification_id)) == pages
    assert {row["user_id"] for row in board.recipients(notification_id)} == people
    assert look(admin, notification_id).data["counts"]["suppressed"] == 11
    assert look(admin, notification_id).data["state"] == "done"


def test_ten_thousand_people_have_it_in_two_pages(
    board: Board, admin: UUID, database_url: str
) -> None:
    run_sql(
        database_url,
        # It looks for each one whether they have had a new version already, which takes its time.
        "ALTER TABLE user_roles DISABLE TRIGGER bump_permission_version",
        "INSERT INTO users (name, phone) SELECT 'Grower', '+2557' || lpad(number::text, 8, '0')"
        " FROM generate_series(1, 10000) AS number",
        "INSERT INTO user_roles (user_id, role) SELECT id, 'farmer' FROM users"
        " WHERE name = 'Grower'",
    )
    notification_id = UUID(send(admin, audience={"roles": ["farmer"]}).data["notificationId"])
    found = look(admin, notification_id).data
    assert (found["counts"]["queued"], found["state"]) == (notifying.PAGE, "queued")
    board.deliver(off=True)
    assert board.states(notification_id) == {"suppressed": 10_000}
    board.deliver(off=True)  # and finds that these were all
    assert look(admin, notification_id).data["state"] == "done"


def test_pages_that_are_written_at_once_are_written_once(board: Board, database_url: str) -> None:
    people = {board.add_person("agent", devices=0) for _ in range(30)}
    notification_id = board.tell()
    board.change(
        notifications, notifications.c.id == notification_id, expanded_to=None, expanded_at=None
    )
    mine = notification_recipients
    board.database.transact(
        lambda connection: connection.execute(
            mine.delete().where(mine.c.notification_id == notification_id)
        )
    )

    def next_page(database: Database) -> int:
        return database.transact(lambda connection: expand(connection, notification_id, 4))

    found: list[int] = []
    while not found or max(found):
        found = race(database_url, [next_page] * 5)
    assert {row["user_id"] for row in board.recipients(notification_id)} == people
