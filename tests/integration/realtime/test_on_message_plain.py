"""What a client that speaks plain JSON sends and gets."""

import json
from functools import partial
from uuid import uuid4

import pytest
from sqlalchemy import func, update

from fieldgate.db.tables.realtime import realtime_connections
from realtime import connection_store
from tests.support.database import count_statements
from tests.support.people import Person, begin_session, register
from tests.support.racing import race
from tests.support.stream import HOUR, Stream, new_event
from tests.support.websocket import (
    GROWER,
    HANDSHAKE,
    ClientEnd,
    HubFunctions,
)

BOSS = Person("", None, phone="+254711000008", email=None, roles=("admin",))


def test_whose_token_has_expired_is_told_so(hub: HubFunctions, line: ClientEnd) -> None:
    past = {"token_expires_at": func.now() - HOUR}
    hub.database.transact(
        lambda connection: connection.execute(update(realtime_connections).values(past))
    )
    line.send('{"action":"getConnectionId"}')
    (last,) = line.heard
    assert json.loads(last) == {"type": "close", "reason": "token_expired", "reconnect": True}
    assert line.is_closed


def test_the_first_request_makes_the_connection_ready(hub: HubFunctions, line: ClientEnd) -> None:
    Stream(hub.database).append(new_event("all"))

    assert line.ask("getConnectionId") == {"type": "connectionId", "connectionId": line.id}

    row = line.row
    assert row is not None
    assert (row["dialect"], row["sent_offset"], row["wanted_offset"]) == ("json", 1, 1)
    assert row["ready_at"] is not None
    assert hub.api.asked == []


def test_a_ping_does_not_and_costs_nothing(hub: HubFunctions, line: ClientEnd) -> None:
    with count_statements(hub.database) as traffic:
        assert line.send('{"action":"ping"}') == '{"type":"pong"}'
        assert line.send('{"action": "ping"}') == '{"type":"pong"}'
        assert line.ask("ping", id="p") == {"type": "pong", "id": "p"}
    assert traffic.statements == []

    row = line.row
    assert row is not None
    assert row["ready_at"] is None


def test_two_requests_may_be_the_first_at_the_same_moment(
    hub: HubFunctions, line: ClientEnd, database_url: str
) -> None:
    ready = partial(connection_store.make_ready, connection_id=line.id, dialect="json")
    found = race(database_url, [lambda database: database.transact(ready)] * 5)

    assert len([connected for connected in found if connected]) == 1
    assert line.ask("subscribe", channel="lots")["channels"] == ["lots"]


def test_channels_are_subscribed_to_by_one_or_many(line: ClientEnd) -> None:
    assert line.ask("subscribe", channels=["lots", "farms:1"], id=7) == {
        "type": "subscribed",
        "channels": ["farms:1", "lots"],
        "id": 7,
    }
    answer = line.ask("subscribe", channel="shipments:123")
    assert answer == {"type": "subscribed", "channels": ["farms:1", "lots", "shipments:123"]}
    answer = line.ask("unsubscribe", channel="lots")
    assert answer == {"type": "unsubscribed", "channels": ["farms:1", "shipments:123"]}


def test_what_was_missed_is_replayed_as_far_as_one_may_see_it(
    hub: HubFunctions, line: ClientEnd
) -> None:
    stream = Stream(hub.database)
    stream.append(
        new_event("all"),
        new_event("channel:lots"),
        new_event(f"user:{uuid4()}"),
        new_event("role:admin"),
        new_event("channel:users", entity_type="users"),
        new_event("role:agent"),
        new_event(f"user:{GROWER.id}"),
    )
    epoch = str(stream.stream_row()["epoch"])

    answer = line.ask("resume", epoch=epoch, offset=0, id="r")

    assert [event["offset"] for event in answer.pop("events")] == [1, 6, 7]
    expected = {"type": "resumed", "epoch": epoch, "offset": 7, "recovered": True, "more": False}
    assert answer == expected | {"id": "r"}
    answer = line.ask("resume", epoch=str(uuid4()), offset=0)
    assert (answer["recovered"], answer["events"]) == (False, [])


def test_nobody_resumes_what_is_anothers(hub: HubFunctions, line: ClientEnd) -> None:
    """Whatever a request says of who asks: it is the connection's own row that counts."""
    register(hub.database, BOSS)
    boss = hub.connect(BOSS)
    boss.ask("subscribe", channels=["users", "media"])
    stream = Stream(hub.database)
    stream.append(new_event(f"user:{BOSS.id}"), new_event("channel:users", entity_type="users"))
    epoch = str(stream.stream_row()["epoch"])
    claims = {
        "connectionId": boss.id,
        "userId": str(BOSS.id),
        "channels": ["users"],
        "audiences": [f"user:{BOSS.id}"],
        "requestContext": {"connectionId": boss.id},
    }

    assert line.ask("resume", epoch=epoch, offset=0, **claims)["events"] == []
    assert line.ask("getConnectionId", **claims)["connectionId"] == line.id
    assert line.ask("subscribe", **claims | {"channel": "lots"})["channels"] == ["lots"]
    assert len(boss.ask("resume", epoch=epoch, offset=0)["events"]) == 2
    assert boss.ask("unsubscribe", channel="users")["channels"] == ["media"]


def test_what_cannot_be_done_is_an_error_with_a_code_and_the_connection_goes_on(
    line: ClientEnd,
) -> None:
    for request, code in (
        ({"action": "subscribe"}, "VALIDATION_ERROR"),
        ({"action": "subscribe", "channels": "lots"}, "VALIDATION_ERROR"),
        ({"action": "subscribe", "channel": ["lots"]}, "VALIDATION_ERROR"),
        ({"action": "subscribe", "channels": ["lots", "users"]}, "FORBIDDEN"),
        ({"action": "resume", "epoch": "x", "offset": 1}, "VALIDATION_ERROR"),
        ({"action": "resume"}, "VALIDATION_ERROR"),
        ({"action": "dropTables"}, "VALIDATION_ERROR"),
        ({"action": "PING"}, "VALIDATION_ERROR"),
        ({"action": ""}, "VALIDATION_ERROR"),
    ):
        answer = json.loads(line.send(json.dumps(request | {"id": 1})))
        assert (answer["type"], answer["code"], answer["id"]) == ("error", code, 1), request
        assert answer["message"].endswith(".")
    for frame, code in (
        ("", "VALIDATION_ERROR"),
        ("noise", "VALIDATION_ERROR"),
        ("[]", "VALIDATION_ERROR"),
        ("{}", "VALIDATION_ERROR"),
        ("[" * 10_000 + "]" * 10_000, "VALIDATION_ERROR"),
        ("x" * 1_000_000, "PAYLOAD_TOO_LARGE"),
    ):
        answer = json.loads(line.send(frame))
        assert (answer["type"], answer["code"]) == ("error", code)
    assert json.loads(line.send("aGVsbG8=", is_binary=True))["code"] == "VALIDATION_ERROR"
    assert json.loads(line.send("?", is_binary=True))["code"] == "VALIDATION_ERROR"
    assert line.ask("unsubscribe", channel="none")["channels"] == []


NO_SUCH_ACTION = (
    "There is no such action. There are subscribe, unsubscribe, resume, ping and getConnectionId;"
    " case counts."
)
NO_CHANNEL = (
    "A channel is named like shipments or shipments:123: the topic in lower case, up to 50"
    " characters, then up to 100 of A-Z a-z 0-9 _ . and -."
)
NO_ACTION = "A request needs an action: subscribe, unsubscribe, resume, ping or getConnectionId."


@pytest.mark.parametrize("begins", [True, False])
@pytest.mark.parametrize(
    ("frame", "sentence"),
    [
        ('{"type":"ping"}', NO_ACTION),
        ('{"type":"subscribe","channel":"lots"}', NO_ACTION),
        ('{"target":"subscribe"}', NO_ACTION),
        ('{"action":"getConnectionId"}\x1e', "A frame of plain JSON doesn't end in 0x1e."),
        ('{"action":"ping"}\x1e', "A frame of plain JSON doesn't end in 0x1e."),
    ],
)
def test_what_is_mistyped_is_an_error_and_the_connection_goes_on(
    hub: HubFunctions, line: ClientEnd, frame: str, sentence: str, *, begins: bool
) -> None:
    if begins:
        line.ask("getConnectionId")

    assert json.loads(line.send(frame)) == {
        "type": "error",
        "code": "VALIDATION_ERROR",
        "message": sentence,
    }

    assert hub.api.asked == []
    assert line.ask("subscribe", channel="lots")["channels"] == ["lots"]


def test_a_record_without_its_end_is_plain_json_to_a_plain_connection_alone(
    hub: HubFunctions, line: ClientEnd
) -> None:
    """What a SignalR client would be told: test_on_message_signalr.py."""
    line.ask("getConnectionId")
    for frame in ('{"type":6}', '{"type":1,"target":"Subscribe"}', '{"protocol":"json"}'):
        with count_statements(hub.database) as traffic:
            assert json.loads(line.send(frame))["message"] == NO_ACTION
        assert traffic.statements == [], "what it speaks is known by now"

    silent = hub.connect(GROWER, line.session_id)
    assert silent.send('{"type":6}') == ""
    assert '"type":7' in "".join(silent.heard)
    assert silent.is_closed


def test_words_say_what_would_be_right(line: ClientEnd) -> None:
    for request, sentence in (
        ({"action": "subscribe", "channels": []}, "Channels are a list of at least one name."),
        (
            {"action": "subscribe", "channel": "Lots"},
            NO_CHANNEL,
        ),
        (
            {"action": "Ping"},
            NO_SUCH_ACTION,
        ),
    ):
        assert json.loads(line.send(json.dumps(request)))["message"] == sentence


def test_signalr_on_a_plain_connection_ends_it(line: ClientEnd) -> None:
    line.ask("getConnectionId")

    assert line.send(HANDSHAKE) == ""

    assert '"type":7' in "".join(line.heard)
    assert line.is_closed


def test_a_connection_that_nobody_knows_is_closed(hub: HubFunctions, line: ClientEnd) -> None:
    unknown = ClientEnd(hub, "unknown=", uuid4())
    hub.api.connect(unknown.id)

    assert unknown.send('{"action":"getConnectionId"}') == ""

    assert [json.loads(frame) for frame in unknown.heard] == [
        {"type": "close", "reason": "session_ended", "reconnect": True}
    ]
    assert unknown.is_closed


def test_a_request_takes_one_round_trip_to_know_who_asks(
    hub: HubFunctions, line: ClientEnd
) -> None:
    line.ask("getConnectionId")
    for request, round_trips in (
        ({"action": "getConnectionId"}, 1),
        ({"action": "subscribe", "channel": "lots"}, 3),
        ({"action": "resume", "epoch": None, "offset": 0}, 2),
    ):
        with count_statements(hub.database) as traffic:
            assert json.loads(line.send(json.dumps(request)))["type"] != "error"
        assert traffic.round_trips == round_trips


def test_two_connections_of_one_session_are_apart(hub: HubFunctions) -> None:
    session_id = begin_session(hub.database, GROWER).session_id
    one, other = hub.connect(GROWER, session_id), hub.connect(GROWER, session_id)

    one.ask("subscribe", channel="lots")

    assert other.ask("unsubscribe", channel="x")["channels"] == []
    one.close()
    assert one.row is None
    assert other.row is not None
