"""GET /api/v1/notifications: what somebody was told."""

from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fieldgate.db.engine import Database
from fieldgate.push.notifying import NewNotification, notify
from push import list_inbox
from tests.support.database import count_statements
from tests.support.gateway import Answer, call
from tests.support.handsets import NOTIFICATIONS, Handset, sign_in, tell
from tests.support.one_time_codes import change

WORDS = st.text(st.characters(codec="utf-8"), max_size=8)


def ids(answer: Answer) -> list[UUID]:
    return [UUID(entry["id"]) for entry in answer.data]


def total(answer: Answer) -> int:
    number: int = answer.json()["pagination"]["total"]
    return number


def test_what_somebody_was_told_is_shown_as_it_was_told(
    live_database: Database, grower: Handset
) -> None:
    new = NewNotification(
        kind="stock_expiry",
        title="Двенадцать мешков",
        body="7 lots expire this week\n🌽 Nakuru",
        data={"warehouse": "Nakuru", "lots": "7"},
        user_ids=[grower.user_id],
    )
    notification_id = live_database.transact(lambda connection: notify(connection, new))

    answer = grower.inbox()

    assert answer.status == 200
    (entry,) = answer.data
    assert entry.pop("createdAt").endswith("Z")
    assert entry == {
        "id": str(notification_id),
        "kind": "stock_expiry",
        "title": "Двенадцать мешков",
        "body": "7 lots expire this week\n🌽 Nakuru",
        "data": {"warehouse": "Nakuru", "lots": "7"},
        "readAt": None,
    }


def test_nobody_sees_what_others_were_told(
    live_database: Database, grower: Handset, stranger: Handset
) -> None:
    """Not even who may send notifications, nor by asking for it."""
    told = tell(live_database, grower)
    both = tell(live_database, grower, stranger)
    boss = sign_in(live_database, "admin")

    assert ids(grower.inbox()) == [both, told]
    assert ids(stranger.inbox()) == [both]
    assert ids(boss.inbox()) == []
    assert boss.inbox(f"userId={grower.user_id}").status == 400


def test_what_a_role_was_told_is_in_the_inboxes_of_who_had_it_then(
    live_database: Database, grower: Handset
) -> None:
    new = NewNotification(kind="general", title="Rain", body="Today", roles=["agent"])
    told = live_database.transact(lambda connection: notify(connection, new))
    later = sign_in(live_database)

    assert ids(grower.inbox()) == [told]
    assert ids(later.inbox()) == []


def test_a_page_is_newest_first_and_counted(live_database: Database, grower: Handset) -> None:
    told = [tell(live_database, grower) for _ in range(5)]

    pages = [grower.inbox(f"page={number}&pageSize=2") for number in (1, 2, 3, 4)]

    assert [ids(page) for page in pages] == [told[:2:-1], told[2:0:-1], told[:1], []]
    assert {total(page) for page in pages} == {5}
    assert pages[0].json()["pagination"]["hasNextPage"] is True


def test_what_is_unread_can_be_asked_for_and_counted(
    live_database: Database, grower: Handset, stranger: Handset
) -> None:
    """The number on the app's icon is the total of one's unread."""
    told = [tell(live_database, grower, stranger) for _ in range(4)]
    grower.read(told[1])
    stranger.read(told[0])

    unread = grower.inbox("unread=true&pageSize=1")

    assert (ids(unread), total(unread)) == ([told[3]], 3)
    assert ids(grower.inbox("unread=true&page=2&pageSize=1")) == [told[2]]
    assert ids(grower.inbox("unread=false")) == told[::-1]
    for notification_id in told:
        grower.read(notification_id)
    empty = grower.inbox("unread=true")
    assert (ids(empty), total(empty)) == ([], 0)


@pytest.mark.parametrize("state", ["queued", "sent", "suppressed", "failed"])
def test_it_is_there_whatever_became_of_the_push(
    live_database: Database, grower: Handset, state: str
) -> None:
    told = tell(live_database, grower)
    change(live_database, "UPDATE notification_recipients SET state = :state", state=state)

    assert ids(grower.inbox()) == [told]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("unread=maybe", "unread"),
        ("unread=", "unread"),
        ("page=0", "page"),
        ("pageSize=101", "pageSize"),
        ("page=1e9", "page"),
        ("kind=general", "kind"),
        ("page=1000001", "page"),
    ],
)
def test_a_query_that_is_none_is_refused(grower: Handset, query: str, field: str) -> None:
    answer = grower.inbox(query)

    assert (answer.status, answer.error["code"]) == (400, "VALIDATION_ERROR")
    assert [detail["field"] for detail in answer.error["details"]] == [field]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    query=st.dictionaries(
        st.sampled_from(["page", "pageSize", "unread"]) | WORDS,
        WORDS | st.integers().map(str),
    )
)
def test_any_query_is_taken_or_refused(grower: Handset, query: dict[str, Any]) -> None:
    answer = grower.ask(list_inbox.handler, "GET", NOTIFICATIONS, query=query)
    assert answer.status in {200, 400}


def test_it_costs_one_round_trip(live_database: Database, grower: Handset) -> None:
    tell(live_database, grower)
    with count_statements(live_database) as traffic:
        grower.inbox("unread=true")

    assert (traffic.round_trips, traffic.commits) == (1, 0)


def test_without_a_token_the_database_is_not_asked(live_database: Database) -> None:
    with count_statements(live_database) as traffic:
        answer = call(list_inbox.handler, "GET", "/api/v1/notifications")

    assert (answer.status, traffic.round_trips) == (401, 0)
