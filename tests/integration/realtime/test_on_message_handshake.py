"""SignalR's handshake: what is answered when, and what is none."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import func

from identity.signing_out import sign_out
from realtime import connection_store
from realtime.membership import HANDSHAKE_SECONDS
from realtime.sweeping import sweep
from tests.support.connections_api import Fault
from tests.support.database import count_statements
from tests.support.fan_out import Switchboard
from tests.support.stream import Stream, new_event
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


def test_the_handshake_is_answered_before_anything_else_may_be_sent(
    hub: HubFunctions, line: ClientEnd
) -> None:
    stream = Stream(hub.database)
    stream.append(new_event("all"), new_event("all"))

    (refetch,) = line.records(HANDSHAKE)

    assert line.heard == ["{}\x1e"]
    assert refetch["type"] == 1
    assert "invocationId" not in refetch
    (argument,) = refetch["arguments"]
    assert argument.pop("timestamp")
    position = {"epoch": str(stream.stream_row()["epoch"]), "offset": 2}
    assert argument == {"entityType": "*", "entityId": "*", "action": "refetch"} | position
    row = line.row
    assert row is not None
    assert row["dialect"] == "signalr"
    assert row["ready_at"] is not None


def test_a_connection_begins_where_the_stream_is_when_it_becomes_ready(
    hub: HubFunctions, line: ClientEnd
) -> None:
    Stream(hub.database).append(new_event("all"), new_event("all"))

    line.shake_hands()

    row = line.row
    assert row is not None
    assert (row["sent_offset"], row["wanted_offset"]) == (2, 2)


def test_what_came_after_the_refetch_can_be_resumed_from_it(
    hub: HubFunctions, line: ClientEnd
) -> None:
    stream = Stream(hub.database)
    stream.append(new_event("all"))
    (refetch,) = line.records(HANDSHAKE)
    (place,) = refetch["arguments"]
    stream.append(new_event("all"))

    told = line.call("Resume", place["epoch"], place["offset"])["result"]

    assert told["recovered"]
    assert [event["offset"] for event in told["events"]] == [2]


def test_it_takes_four_round_trips_and_one_post(hub: HubFunctions, line: ClientEnd) -> None:
    with count_statements(hub.database) as traffic:
        line.shake_hands()

    # To take it on, and to be ready, each with its commit.
    assert (traffic.round_trips, traffic.commits) == (4, 2)
    assert hub.api.asked == [("POST", line.id)]


def test_what_comes_with_the_handshake_is_answered_after_it(line: ClientEnd) -> None:
    refetch, completion, pong = line.records(HANDSHAKE + invocation("GetConnectionId") + PING)

    assert line.heard == ["{}\x1e"]
    assert refetch["target"] == "DataChanged"
    assert completion["result"] == line.id
    assert pong == {"type": 6}


def test_another_protocol_is_refused_with_a_sentence(hub: HubFunctions, line: ClientEnd) -> None:
    for handshake in ('{"protocol":"messagepack","version":1}', '{"protocol":"json","version":2}'):
        line = hub.connect(GROWER, line.session_id)

        assert line.send(f"{handshake}\x1e") == ""

        (record,) = records_of("".join(line.heard))
        assert record.keys() == {"error"}
        assert line.is_closed


def test_a_second_handshake_is_refused(hub: HubFunctions, app: ClientEnd) -> None:
    for second in (HANDSHAKE, PING + HANDSHAKE, HANDSHAKE + invocation("GetConnectionId")):
        line = hub.connect(GROWER, app.session_id)
        line.shake_hands()
        assert line.send(second) == ""
        assert is_refused_for_good(line, "handshake comes first, and once")

    both = hub.connect(GROWER, app.session_id)
    assert both.send(HANDSHAKE + HANDSHAKE) == ""
    assert is_refused_for_good(both, "handshake comes first, and once")


def test_whatever_comes_before_the_handshake_is_refused(hub: HubFunctions, line: ClientEnd) -> None:
    for record in (
        invocation("GetConnectionId"),
        invocation("Subscribe", "shipments", invocation_id=None),
        invocation("Resume", None, 0) + HANDSHAKE,
        '{"type":3,"invocationId":"1","result":1}\x1e',
        '{"type":99}\x1e',
    ):
        line = hub.connect(GROWER, line.session_id)
        assert line.send(record) == ""
        assert is_refused_for_good(line, "handshake comes first, and once")


def test_a_ping_may_come_before_the_handshake(line: ClientEnd) -> None:
    assert line.send(PING) == PING
    line.shake_hands()


def test_what_a_client_sends_at_once_after_its_answer_is_not_too_early(
    hub: HubFunctions, line: ClientEnd
) -> None:
    """The client has its answer before we know that it has, and another environment hears it."""
    said = []
    hub.api.on_taken = lambda _id, _frame: said.append(line.row)

    line.shake_hands()

    (meanwhile,) = said
    assert meanwhile is not None
    assert meanwhile["ready_at"] is None
    assert meanwhile["handshake_at"] is not None


def test_a_connection_whose_handshake_a_killed_run_had_begun_is_closed_by_the_sweep(
    hub: HubFunctions, line: ClientEnd
) -> None:
    """Its client may have the answer, so calls are answered; of events it would never hear."""
    begin = partial(connection_store.begin_handshake, connection_id=line.id)
    assert hub.database.transact(begin)
    board = Switchboard(hub.database, hub.api, Stream(hub.database))

    assert line.call("GetConnectionId") == {"result": line.id}
    board.change(line.id, connected_at=func.now() - timedelta(seconds=HANDSHAKE_SECONDS - 5))
    sweep(hub.database, board.stream.ask_for)
    board.close()
    assert (board.stream.asked, hub.api.deleted) == ([], [])

    board.change(line.id, connected_at=func.now() - timedelta(seconds=HANDSHAKE_SECONDS))
    sweep(hub.database, board.stream.ask_for)
    assert board.stream.asked == [("close", (line.id,))]
    board.close()
    assert line.is_closed


@pytest.mark.parametrize("fault", [410, 429, 500, 403, "cut"])
def test_a_handshake_whose_answer_is_not_taken_ends_the_connection(
    hub: HubFunctions, line: ClientEnd, fault: Fault
) -> None:
    faults = iter([fault])
    hub.api.choose_fault = lambda _method, _id: next(faults, None)

    assert line.send(HANDSHAKE) == ""

    assert line.row is None
    if fault != 410:
        (last,) = records_of("".join(line.heard))
        assert (last["type"], last["allowReconnect"]) == (7, True)
        assert line.is_closed


def test_a_session_that_ends_while_the_answer_is_on_its_way_ends_the_connection(
    hub: HubFunctions, line: ClientEnd
) -> None:
    def log_out(_connection_id: str, _frame: bytes) -> None:
        hub.api.on_taken = lambda _id, _frame: None
        sign_out(hub.database, GROWER.id, line.session_id)

    hub.api.on_taken = log_out
    assert line.send(HANDSHAKE) == ""

    answer, last = line.heard
    assert answer == "{}\x1e"
    assert records_of(last)[0]["error"] == "The session has ended."
    assert line.is_closed


def test_an_answer_that_the_network_kept_ends_the_connection_in_time(
    hub: HubFunctions, line: ClientEnd, environment: pytest.MonkeyPatch
) -> None:
    environment.setattr("realtime.connections_api.WAIT_SECONDS", 0.1)
    faults: Iterator[Fault] = iter(["hang"])
    hub.api.choose_fault = lambda _method, _id: next(faults, None)

    assert line.send(HANDSHAKE) == ""

    assert hub.api.asked.count(("POST", line.id)) == 2, "what may have been taken isn't sent again"
    assert line.is_closed


def test_a_gateway_that_does_not_answer_at_all_gets_the_last_word_as_the_answer(
    hub: HubFunctions, line: ClientEnd
) -> None:
    hub.api.choose_fault = lambda _method, _id: 500

    (last,) = line.records(HANDSHAKE)

    assert (last["type"], last["allowReconnect"]) == (7, True)
    row = line.row
    assert row is not None, "left to the sweep"
    assert row["ready_at"] is None


def test_the_connection_to_the_gateway_is_kept_and_opened_again_when_it_was_dropped(
    hub: HubFunctions,
) -> None:
    lines = [hub.connect(GROWER) for _ in range(4)]
    for line in lines[:2]:
        line.shake_hands()
    assert hub.api.accepted == 1

    cut: Iterator[Fault] = iter(["cut"])
    hub.api.choose_fault = lambda _method, _id: next(cut, None)
    for line in lines[2:]:
        line.shake_hands()
    assert hub.api.accepted == 2
