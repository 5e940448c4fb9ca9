"""Who is let in at $connect, and that a session that ends takes its connections with it."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import Connection, text

from fieldgate.db.engine import Database
from fieldgate.db.url import parse_url
from identity import administering, session_store, signing_out
from identity.signing_out import sign_out
from realtime import connection_store, on_connect, on_disconnect
from realtime.connection_store import NewConnection
from tests.support.database import count_statements
from tests.support.log import Log
from tests.support.people import Person, begin_session, register
from tests.support.ports import free_port
from tests.support.racing import race, waiting
from tests.support.stream import HOUR, Stream
from tests.support.websocket import (
    GROWER,
    ClientEnd,
    HubFunctions,
    claims_of,
    event_of,
)

NEIGHBOUR = Person("", None, phone="+254711000007", email=None)
BOSS = Person("", None, phone="+254711000008", email=None, roles=("admin",))


@pytest.fixture
def line(hub: HubFunctions) -> ClientEnd:
    """A session, whose connection is yet to be made."""
    return ClientEnd(hub, "A1=", begin_session(hub.database, GROWER).session_id)


def in_an_hour() -> datetime:
    return datetime.now(UTC) + HOUR


def test_whoever_has_a_living_session_is_let_in_and_noted(
    hub: HubFunctions, line: ClientEnd
) -> None:
    with count_statements(hub.database) as traffic:
        assert line.open(GROWER.id) == 200
    assert (traffic.round_trips, traffic.commits) == (2, 1)

    row = line.row
    assert row is not None
    assert (row["user_id"], row["session_id"]) == (GROWER.id, line.session_id)
    assert (row["dialect"], row["ready_at"], row["channels"]) == (None, None, [])


def test_the_same_connection_once_more_changes_nothing(line: ClientEnd) -> None:
    assert line.open(GROWER.id) == 200
    line.shake_hands()
    before = line.row

    assert line.open(GROWER.id, lifetime=HOUR) == 200

    after = line.row
    assert before is not None
    assert after is not None
    expiry = "token_expires_at"
    assert {**after, expiry: None} == {**before, expiry: None}


def test_nobody_takes_anothers_connection(hub: HubFunctions, line: ClientEnd) -> None:
    assert line.open(GROWER.id) == 200
    register(hub.database, NEIGHBOUR)
    thief = ClientEnd(hub, line.id, begin_session(hub.database, NEIGHBOUR).session_id)

    assert thief.open(NEIGHBOUR.id) == 403

    row = line.row
    assert row is not None
    assert row["user_id"] == GROWER.id


def test_who_has_no_living_session_is_refused(hub: HubFunctions, line: ClientEnd, log: Log) -> None:
    register(hub.database, NEIGHBOUR)
    assert line.open(NEIGHBOUR.id) == 403, "another's session"
    assert ClientEnd(hub, "A2=", uuid4()).open(GROWER.id) == 403, "no session"
    signing_out.sign_out(hub.database, GROWER.id, line.session_id)
    assert line.open(GROWER.id) == 403, "an ended session"

    expired = begin_session(hub.database, GROWER).session_id
    change = text("UPDATE sessions SET expires_at = now() WHERE id = :id")
    hub.database.transact(lambda connection: connection.execute(change, {"id": expired}))
    assert ClientEnd(hub, "A3=", expired).open(GROWER.id) == 403

    block = text("UPDATE users SET status = 'blocked' WHERE id = :id")
    session_id = begin_session(hub.database, GROWER).session_id
    hub.database.transact(lambda connection: connection.execute(block, {"id": GROWER.id}))
    assert ClientEnd(hub, "A4=", session_id).open(GROWER.id) == 403, "a blocked user"
    assert Stream(hub.database).connections() == {}
    assert [said["reason"] for said in log.said("refused")] == ["no living session"] * 5
    assert log.said("connected") == []


@pytest.mark.parametrize(
    "claims", [None, {}, {"sub": "x", "sid": "y", "exp": "1"}, {"exp": "9" * 30}]
)
def test_whom_the_authorizer_does_not_name_is_refused(
    hub: HubFunctions, claims: dict[str, str] | None
) -> None:
    good = claims_of(GROWER.id, uuid4())
    named = None if claims is None else good | claims if claims else {}

    event = event_of("CONNECT", "A1=", authorizer=named)

    assert on_connect.handler(event, None) == {"statusCode": 403}


def test_fifty_connections_of_one_user_and_not_one_more(
    hub: HubFunctions, line: ClientEnd, log: Log
) -> None:
    stream = Stream(hub.database)
    for number in range(49):
        stream.connect(f"B{number}", GROWER.id, line.session_id)
    assert line.open(GROWER.id) == 200

    one_more = ClientEnd(hub, "A2=", line.session_id)
    assert one_more.open(GROWER.id) == 429
    (said,) = log.said("refused")
    assert (said["level"], said["connection_id"]) == ("WARNING", "A2=")
    assert said["reason"] == "too many connections"
    assert line.open(GROWER.id) == 200, "it is there already"

    hub.database.transact(lambda connection: connection_store.drop(connection, ["B7"]))
    assert one_more.open(GROWER.id) == 200


def test_a_database_that_is_down_is_503_and_good_byes_are_left_to_the_sweep(
    hub: HubFunctions, line: ClientEnd, environment: pytest.MonkeyPatch, log: Log
) -> None:
    assert line.open(GROWER.id) == 200
    hub.database.close()
    port = free_port()
    environment.setenv("DATABASE_URL", f"postgresql://nobody:x@127.0.0.1:{port}/nowhere")

    assert line.open(GROWER.id) == 503
    bye = event_of("DISCONNECT", line.id)
    assert on_disconnect.handler(bye, None) == {"statusCode": 200}

    assert [said["forgotten"] for said in log.said("disconnected")] == [False]


def test_a_good_bye_removes_the_row_and_may_come_twice(line: ClientEnd) -> None:
    assert line.open(GROWER.id) == 200
    line.close()
    line.close()
    assert line.row is None


# Sessions that end


def test_a_frame_of_an_ended_session_closes_the_connection(hub: HubFunctions) -> None:
    for dialect in ("signalr", "json"):
        line = hub.connect(GROWER)
        if dialect == "signalr":
            line.shake_hands()
        else:
            line.ask("getConnectionId")
        signing_out.sign_out(hub.database, GROWER.id, line.session_id)

        ping = '{"action":"getConnectionId"}' if dialect == "json" else '{"type":5}\x1e'
        assert line.send(ping) == ""

        (last,) = line.heard
        assert ("reconnect" if dialect == "json" else "allowReconnect") in last
        assert "true" in last
        assert line.is_closed


def test_a_token_that_has_expired_or_a_blocked_user_speaks_no_more(
    hub: HubFunctions, line: ClientEnd
) -> None:
    assert line.open(GROWER.id, lifetime=timedelta(seconds=-1)) == 200
    assert line.send('{"protocol":"json","version":1}\x1e') == ""
    assert line.heard == ['{"error":"The session has ended."}\x1e']
    assert line.is_closed

    register(hub.database, BOSS)
    boss = begin_session(hub.database, BOSS)
    line = hub.connect(GROWER)
    line.shake_hands()
    administering.set_status(
        hub.database, GROWER.id, "blocked", actor=BOSS.id, session_id=boss.session_id
    )
    line.send('{"type":1,"target":"GetConnectionId","arguments":[]}\x1e')
    assert line.is_closed


def test_a_logout_that_races_with_a_connection_refuses_it_or_finds_it(
    hub: HubFunctions, database_url: str
) -> None:
    for number in range(15):
        session_id = begin_session(hub.database, GROWER).session_id
        new = NewConnection(f"L{number}=", GROWER.id, session_id, in_an_hour())

        def connect(database: Database, new: NewConnection = new) -> str:
            return database.transact(lambda connection: connection_store.add(connection, new))

        def log_out(database: Database, new: NewConnection = new) -> str:
            def end(connection: Connection) -> bool:
                return bool(
                    session_store.end_sessions(
                        connection, GROWER.id, "logged_out", only=new.session_id
                    )
                )

            assert database.transact(end)
            return "found" if new.id in Stream(database).connections() else "none"

        outcome = race(database_url, [connect, log_out] if number % 2 else [log_out, connect])
        assert sorted(outcome) in (["added", "found"], ["none", "refused"])


def test_a_connection_waits_for_a_logout_and_a_logout_for_a_connection(
    hub: HubFunctions, line: ClientEnd, database_url: str
) -> None:
    new = NewConnection(line.id, GROWER.id, line.session_id, in_an_hour())
    with (
        closing(Database(lambda: parse_url(database_url, "the test"))) as other,
        other.engine.connect() as first,
        ThreadPoolExecutor(1) as second,
    ):
        assert connection_store.add(first, new) == "added"
        logout = second.submit(sign_out, hub.database, GROWER.id, line.session_id)
        waiting(logout, first)
        first.commit()
        logout.result(10)
        assert line.row is not None, "whoever logged out can find it"

        ending = begin_session(hub.database, GROWER).session_id
        new = NewConnection("A2=", GROWER.id, ending, in_an_hour())
        session_store.end_sessions(first, GROWER.id, "logged_out", only=ending)
        connect = second.submit(
            hub.database.transact, lambda connection: connection_store.add(connection, new)
        )
        waiting(connect, first)
        first.commit()
        assert connect.result(10) == "refused"
