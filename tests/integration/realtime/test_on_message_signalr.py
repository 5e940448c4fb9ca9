"""What a SignalR client asks and is answered, once it is connected."""

import json
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, update

from fieldgate.db.tables.realtime import realtime_connections
from tests.support.database import count_statements
from tests.support.stream import HOUR, Stream, new_event
from tests.support.websocket import (
    GROWER,
    HANDSHAKE,
    PING,
    ClientEnd,
    HubFunctions,
    invocation,
    is_refused_for_good,
    records_of,
)

# Calls


def test_the_connection_id_is_the_gateways(app: ClientEnd) -> None:
    assert app.call("GetConnectionId") == {"result": app.id}
    assert app.call("getconnectionid") == {"result": app.id}


def test_channels_are_subscribed_to_as_a_list_or_one_by_one(app: ClientEnd) -> None:
    assert app.call("Subscribe", ["shipments:123"]) == {"result": {"channels": ["shipments:123"]}}
    everything = {"result": {"channels": ["farms", "lots", "shipments:123"]}}
    assert app.call("Subscribe", "lots", "farms") == everything
    assert app.call("SUBSCRIBE", "lots") == everything
    left = {"result": {"channels": ["farms", "shipments:123"]}}
    assert app.call("Unsubscribe", "lots", "cows") == left
    assert app.call("unsubscribe", ["lots"]) == left


def test_a_channel_may_be_called_null(app: ClientEnd) -> None:
    """As apps call one whose name they lost: it is no word of the database's."""
    assert app.call("Subscribe", "lots", "null") == {"result": {"channels": ["lots", "null"]}}
    assert app.call("Unsubscribe", "null") == {"result": {"channels": ["lots"]}}


def test_what_names_no_channel_is_refused(app: ClientEnd) -> None:
    cases: tuple[list[Any], ...] = (
        *([], [[]], [None], [1], [{}], ["", "x"], ["Shipments"], ["a b"], ["lots:"], ["a\n"]),
        *([["a"], ["b"]], [["a", None]], [["a", ["b"]]], ["a:" + "b" * 101], ["\ud800"]),
    )
    for arguments in cases:
        answer = app.call("Subscribe", *arguments)
        assert answer == app.call("Unsubscribe", *arguments)
        assert answer.keys() == {"error"}
        assert "hannel" in answer["error"]


def test_a_channel_that_takes_a_permission_is_refused_and_the_whole_call_with_it(
    app: ClientEnd,
) -> None:
    answer = app.call("Subscribe", ["shipments", "users:1"])

    assert answer == {"error": "The channel users:1 takes a permission that you don't have."}
    assert app.call("Unsubscribe", "none") == {"result": {"channels": []}}


def test_a_hundred_channels_and_not_one_more(app: ClientEnd) -> None:
    names = [f"shipments:{number}" for number in range(101)]

    assert len(app.call("Subscribe", names[:60])["result"]["channels"]) == 60
    assert len(app.call("Subscribe", names[20:100])["result"]["channels"]) == 100
    assert "100 channels" in app.call("Subscribe", names[100:])["error"]
    assert "100 channels" in app.call("Subscribe", names)["error"]
    assert len(app.call("Subscribe", names[:1])["result"]["channels"]) == 100


def test_what_was_missed_is_replayed(hub: HubFunctions, app: ClientEnd) -> None:
    stream = Stream(hub.database)
    stream.append(new_event("all"), new_event("channel:lots"), new_event(f"user:{uuid4()}"))
    epoch = str(stream.stream_row()["epoch"])

    told = app.call("Resume", epoch, 0)["result"]
    assert [event["offset"] for event in told["events"]] == [1]
    assert (told["recovered"], told["more"], told["offset"]) == (True, False, 3)

    # In one frame, the second call sees what the first one did.
    both = app.records(invocation("Subscribe", "lots") + invocation("Resume", epoch, 0))
    assert [event["offset"] for event in both[1]["result"]["events"]] == [1, 2]


def test_more_than_fits_into_a_frame_is_told_by_pages(hub: HubFunctions, app: ClientEnd) -> None:
    stream = Stream(hub.database)
    stream.append(*[new_event("all", entity_id=f"{number:0100}") for number in range(150)])
    epoch = str(stream.stream_row()["epoch"])

    offset, heard, more = 0, [], True
    while more:
        told = app.call("Resume", epoch, offset)["result"]
        heard += [event["offset"] for event in told["events"]]
        assert told["events"]
        offset, more = told["offset"], told["more"]

    assert heard == list(range(1, 151))


def test_what_is_no_position_is_refused(app: ClientEnd) -> None:
    cases: tuple[list[Any], ...] = (
        *([], [None], ["x", 0], [1, 0], [None, -1], [None, "0"], [None, True], [None, 1.5]),
        *([None, 2**63], [None, None], [None, 0, 0], [[None, 0]], ["{" * 40, 0]),
    )
    for arguments in cases:
        assert app.call("Resume", *arguments).keys() == {"error"}


def test_an_unknown_method_is_refused_and_the_connection_goes_on(app: ClientEnd) -> None:
    assert app.call("DropTables") == {"error": "Method does not exist."}
    assert app.call("GetConnectionId", "too much").keys() == {"error"}
    assert app.call("GetConnectionId") == {"result": app.id}


def test_a_stream_is_refused(app: ClientEnd) -> None:
    frame = '{"type":4,"invocationId":"7","target":"GetConnectionId","arguments":[]}\x1e'
    (answer,) = app.records(frame)
    assert answer == {"type": 3, "invocationId": "7", "error": "Nothing is streamed here."}


def test_without_an_invocation_id_nobody_waits_for_the_answer(app: ClientEnd) -> None:
    assert app.send(invocation("Subscribe", "lots", invocation_id=None)) == ""
    assert app.send(invocation("Nonsense", invocation_id=None)) == ""
    assert app.call("Unsubscribe", "none") == {"result": {"channels": ["lots"]}}


def test_calls_of_a_frame_are_answered_in_order_and_pings_once(app: ClientEnd) -> None:
    frame = PING + "".join(
        invocation("GetConnectionId" if number % 2 else "Nonsense", invocation_id=str(number))
        + PING
        for number in range(10)
    )
    *answers, pong = app.records(frame)

    assert pong == {"type": 6}
    assert [answer["invocationId"] for answer in answers] == [str(number) for number in range(10)]
    assert ["error" in answer for answer in answers] == [True, False] * 5
    assert all(("error" in answer) != ("result" in answer) for answer in answers)


def test_answers_that_do_not_fit_into_one_frame_are_errors(
    hub: HubFunctions, app: ClientEnd
) -> None:
    stream = Stream(hub.database)
    stream.append(*[new_event("all", entity_id=f"{number:0100}") for number in range(100)])
    epoch = str(stream.stream_row()["epoch"])

    answers = app.records(
        "".join(invocation("Resume", epoch, 0, invocation_id=f"r{n}") for n in range(30))
    )

    assert [answer["invocationId"] for answer in answers] == [f"r{n}" for n in range(30)]
    assert "result" in answers[0]
    assert "Too much was asked in one frame" in answers[-1]["error"]


def test_what_is_of_no_consequence_is_ignored(app: ClientEnd) -> None:
    for kind in (2, 3, 5, 8, 9, 0, -1, 1000):
        assert app.send(json.dumps({"type": kind, "invocationId": "1"}) + "\x1e") == ""
    assert app.call("GetConnectionId") == {"result": app.id}


def test_whose_token_has_expired_is_told_so_and_not_that_the_session_has_ended(
    hub: HubFunctions, app: ClientEnd
) -> None:
    """A new token is all it takes: told the other, an app would have its user sign in."""
    past = {"token_expires_at": func.now() - HOUR}
    hub.database.transact(
        lambda connection: connection.execute(update(realtime_connections).values(past))
    )
    app.send(invocation("GetConnectionId"))
    (last,) = records_of("".join(app.heard))
    assert last == {"type": 7, "allowReconnect": True, "error": "The token has expired."}
    assert app.is_closed


def test_a_client_that_says_good_bye_is_closed_and_forgotten(
    hub: HubFunctions, app: ClientEnd
) -> None:
    """Were it forgotten alone, one that stays would be out of reach of logouts and limits."""
    assert app.send('{"type":7}\x1e') == ""
    assert app.row is None
    assert app.heard == []
    assert app.is_closed


# What can't be read


def test_a_frame_that_cannot_be_read_ends_the_connection_with_a_sentence(
    hub: HubFunctions, app: ClientEnd
) -> None:
    """What all can't be read: tests/unit/realtime/test_signalr.py."""
    for frame, sentence in (
        (HANDSHAKE[:-1], "must end, with 0x1e, in the frame that it begins in"),
        (invocation("GetConnectionId")[:20], "must end, with 0x1e"),
        (PING + invocation("GetConnectionId")[:-1], "must end, with 0x1e"),
        ('arguments":[]}\x1e', "not JSON"),
        ("x" * 1_000_000 + "\x1e", "32 KB"),
        ("[" * 10_000 + "]" * 10_000 + "\x1e", "16 deep"),
    ):
        line = hub.connect(GROWER, app.session_id)
        assert line.send(frame) == ""
        assert is_refused_for_good(line, sentence)


def test_noise_of_a_signalr_client_is_answered_in_its_dialect(app: ClientEnd) -> None:
    assert app.send("noise") == ""
    assert is_refused_for_good(app, "must end, with 0x1e")


@pytest.mark.parametrize(
    "frame", ['{"type":"ping"}', '{"action":"getConnectionId"}\x1e', "{}", "x" * 40_000]
)
def test_what_looks_plain_on_a_signalr_connection_is_refused_in_its_dialect(
    app: ClientEnd, frame: str
) -> None:
    assert app.send(frame) == ""
    assert is_refused_for_good(app, "record")


def test_plain_json_on_a_signalr_connection_ends_it(app: ClientEnd) -> None:
    assert app.send('{"action":"subscribe","channel":"lots"}') == ""
    assert app.is_closed


def test_a_binary_frame_is_refused(app: ClientEnd) -> None:
    assert app.send("eyJ0eXBlIjo2fR4=", is_binary=True) == ""
    assert is_refused_for_good(app, "no binary")


def test_pings_cost_nothing(hub: HubFunctions, app: ClientEnd) -> None:
    with count_statements(hub.database) as traffic:
        for frame in (PING, '{"type": 6}\x1e', '{ "type":6 }\x1e', PING * 3):
            assert app.send(frame) == PING
    assert traffic.statements == []
    assert hub.api.asked == [("POST", app.id)]
