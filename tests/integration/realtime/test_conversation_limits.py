"""Too much, too often, and with the database, the cache or both away: always an answer, in time."""

import json
import time

import pytest

from realtime import conversing, on_message
from realtime.invocation_limits import (
    CALLS_AT_ONCE,
    MAX_COUNTED,
    MAX_FRAMES,
    FrameCounts,
    spend,
)
from tests.integration.test_cache import silent_server
from tests.support.connections_api import Fault
from tests.support.database import count_statements
from tests.support.log import Log
from tests.support.people import begin_session
from tests.support.ports import free_port
from tests.support.websocket import (
    GROWER,
    HANDSHAKE,
    PING,
    ClientEnd,
    HubFunctions,
    event_of,
    invocation,
    records_of,
)


@pytest.fixture
def no_database(hub: HubFunctions, app: ClientEnd, environment: pytest.MonkeyPatch) -> None:
    """The database goes away once `app` is ready."""
    take_away(hub, environment)


def take_away(hub: HubFunctions, environment: pytest.MonkeyPatch) -> None:
    hub.database.close()
    environment.setenv("DATABASE_URL", f"postgresql://x:y@127.0.0.1:{free_port()}/nowhere")


# Too often


def test_calls_beyond_the_limit_are_refused_and_the_connection_goes_on(app: ClientEnd) -> None:
    """The handshake was the first."""
    frame = "".join(invocation("GetConnectionId", invocation_id=str(n)) for n in range(29))
    for _ in range(2):
        assert all("result" in answer for answer in app.records(frame))

    assert app.call("GetConnectionId") == {"result": app.id}
    refusal = app.call("GetConnectionId")["error"]
    assert refusal == "Too many calls. Please try again in 1 s."
    answers = app.records(frame)
    assert [answer.keys() for answer in answers] == [{"type", "invocationId", "error"}] * 29
    assert app.send(invocation("GetConnectionId", invocation_id=None)) == ""
    assert app.send(PING) == PING
    assert not app.is_closed


def test_another_connection_has_limits_of_its_own(hub: HubFunctions) -> None:
    session_id = begin_session(hub.database, GROWER).session_id
    one, other = hub.connect(GROWER, session_id), hub.connect(GROWER, session_id)
    for _ in range(CALLS_AT_ONCE):
        assert one.ask("getConnectionId")["type"] == "connectionId"

    refusal = one.ask("getConnectionId", id=3)

    assert (refusal["type"], refusal["code"], refusal["id"]) == ("error", "RATE_LIMITED", 3)
    assert json.loads(one.send("noise"))["code"] == "VALIDATION_ERROR"
    assert other.ask("getConnectionId")["type"] == "connectionId"


@pytest.mark.parametrize("ping", [PING, '{"action":"ping"}'])
def test_a_flood_of_pings_ends_the_connection_at_no_cost(
    hub: HubFunctions, app: ClientEnd, ping: str
) -> None:
    other = hub.connect(GROWER)
    hub.api.forget()
    with count_statements(hub.database) as traffic:
        answers = [app.send(ping) for _ in range(MAX_FRAMES - 1)]
    assert traffic.statements == []
    assert "" not in answers

    assert [app.send(ping) for _ in range(50)] == [""] * 50

    assert hub.api.asked == [("POST", app.id), ("DELETE", app.id)], "once"
    assert "oo many frames" in app.heard[0] or "too_many_frames" in app.heard[0]
    assert app.is_closed
    assert other.send(ping) != ""


def test_a_window_ends_and_does_not_grow_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.monotonic()
    monkeypatch.setattr("realtime.invocation_limits.time.monotonic", lambda: now)
    counts = FrameCounts()
    assert [counts.count("a") for _ in range(MAX_FRAMES + 2)][-3:] == [0, 1, 2]
    now += 10
    assert counts.count("a") == 0
    for number in range(MAX_COUNTED * 2):
        counts.count(f"b{number}")
    assert len(counts._counts) <= MAX_COUNTED


# Away


@pytest.mark.usefixtures("no_database")
def test_without_a_database_calls_fail_by_themselves_and_pings_do_not(app: ClientEnd) -> None:
    both = app.records(invocation("GetConnectionId") + invocation("Resume", None, 0) + PING)

    assert [answer.get("error") for answer in both] == [
        *["The database cannot be reached right now. Please try again shortly."] * 2,
        None,
    ]
    assert app.send(PING) == PING
    assert app.send(invocation("GetConnectionId", invocation_id=None)) == ""
    assert app.send('{"type":7}\x1e') == ""


def test_without_a_database_plain_requests_are_refused_by_themselves(
    hub: HubFunctions, environment: pytest.MonkeyPatch
) -> None:
    line, new = hub.connect(GROWER), hub.connect(GROWER)
    line.ask("getConnectionId")
    take_away(hub, environment)

    for end in (line, new):
        answer = end.ask("subscribe", channel="lots", id=1)
        assert (answer["code"], answer["id"]) == ("UNAVAILABLE", 1)
        assert end.ask("ping") == {"type": "pong"}
    assert json.loads(line.send("noise"))["code"] == "VALIDATION_ERROR"


@pytest.mark.usefixtures("no_database")
@pytest.mark.parametrize("frame", ['{"action":"subscribe","channel":"lots"}', "noise", "{}"])
def test_without_a_database_a_signalr_client_is_not_answered_in_plain_json(
    hub: HubFunctions, app: ClientEnd, frame: str
) -> None:
    assert app.send(frame) == ""

    (close,) = records_of("".join(app.heard))
    assert (close["type"], close["allowReconnect"]) == (7, False)
    assert app.id in hub.api.deleted


UNTELLABLE = ("noise", '{"type":"ping"}', '{"type":1}', '{"action":"ping"}\x1e', "")


@pytest.mark.parametrize("frame", UNTELLABLE)
def test_without_a_database_what_tells_no_dialect_is_not_answered(
    hub: HubFunctions, environment: pytest.MonkeyPatch, frame: str
) -> None:
    line = hub.connect(GROWER)
    take_away(hub, environment)

    assert line.send(frame) == ""

    assert hub.api.asked == []


@pytest.mark.parametrize("frame", UNTELLABLE)
def test_over_the_limit_what_tells_no_dialect_is_not_answered(
    hub: HubFunctions, frame: str
) -> None:
    line = hub.connect(GROWER)
    spend(line.id, CALLS_AT_ONCE)

    assert line.send(frame) == ""

    assert hub.api.asked == []
    assert line.send(PING) == PING


def test_over_the_limit_a_signalr_client_is_not_answered_in_plain_json(
    hub: HubFunctions, app: ClientEnd
) -> None:
    spend(app.id, CALLS_AT_ONCE - 1)

    assert app.send('{"action":"subscribe","channel":"lots"}') == ""

    (close,) = records_of("".join(app.heard))
    assert close["error"] == "This connection speaks SignalR."
    assert app.is_closed


@pytest.mark.usefixtures("no_database")
def test_without_a_database_a_handshake_is_refused_with_a_sentence(app: ClientEnd) -> None:
    assert app.send(HANDSHAKE) == ""

    (record,) = records_of("".join(app.heard))
    assert record == {
        "error": "The database cannot be reached right now. Please try again shortly."
    }
    assert app.id in app.hub.api.deleted


def test_a_database_that_goes_after_the_answer_was_taken_ends_the_connection(
    hub: HubFunctions, environment: pytest.MonkeyPatch
) -> None:
    line = hub.connect(GROWER)

    def go(_connection_id: str, _frame: bytes) -> None:
        environment.setenv("DATABASE_URL", f"postgresql://x:y@127.0.0.1:{free_port()}/nowhere")
        hub.database.close()

    hub.api.on_taken = go
    assert line.send(HANDSHAKE) == ""

    answer, last = line.heard
    assert answer == "{}\x1e"
    (close,) = records_of(last)
    assert (close["type"], close["allowReconnect"]) == (7, True)
    assert line.id in hub.api.deleted


def test_a_database_that_hangs_is_answered_for_in_time(
    hub: HubFunctions, app: ClientEnd, environment: pytest.MonkeyPatch
) -> None:
    environment.setattr(conversing, "ANSWER_SECONDS", 0.3)
    with silent_server() as port:
        hub.database.close()
        environment.setenv("DATABASE_URL", f"postgresql://x:y@127.0.0.1:{port}/nowhere")
        began = time.monotonic()
        answers = app.records(invocation("GetConnectionId") * 3)
    assert time.monotonic() - began < 2
    assert ["error" in answer for answer in answers] == [True] * 3


def test_without_a_cache_the_database_counts_and_without_both_there_is_an_answer(
    hub: HubFunctions, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("CACHE_URL", f"redis://127.0.0.1:{free_port()}")
    line = hub.connect(GROWER)
    line.shake_hands()

    with count_statements(hub.database) as traffic:
        assert line.call("GetConnectionId") == {"result": line.id}
    assert "rate_limits" in traffic.statements[0]

    hub.database.close()
    environment.setenv("DATABASE_URL", f"postgresql://x:y@127.0.0.1:{free_port()}/nowhere")
    assert "cannot be reached" in line.call("GetConnectionId")["error"]
    assert line.send(PING) == PING


def test_a_bug_is_logged_and_told_in_the_clients_dialect(
    hub: HubFunctions, app: ClientEnd, monkeypatch: pytest.MonkeyPatch, log: Log
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("secret")

    line = hub.connect(GROWER)
    monkeypatch.setattr(conversing, "find", fail)

    (close,) = app.records(invocation("GetConnectionId"))
    assert close["allowReconnect"] is True
    answer = line.ask("getConnectionId", id="a")
    assert (answer["code"], answer["id"]) == ("INTERNAL_ERROR", "a")
    assert "secret" not in close["error"] + answer["message"]
    assert json.loads(line.send("noise"))["code"] == "INTERNAL_ERROR"
    told_of = [said["connection_id"] for said in log.lines if "exception" in said]
    assert told_of == [app.id, line.id, line.id]


def test_a_bug_in_one_call_is_that_calls_alone(
    app: ClientEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(conversing, "subscribe", fail)
    answers = app.records(invocation("Subscribe", "a") + invocation("GetConnectionId"))
    assert ["error" in answer for answer in answers] == [True, False]


def test_a_hub_without_an_address_answers_all_the_same(
    hub: HubFunctions, environment: pytest.MonkeyPatch
) -> None:
    line = hub.connect(GROWER)
    environment.delenv("REALTIME_ENDPOINT")

    (close,) = line.records(HANDSHAKE)

    assert (close["type"], close["allowReconnect"]) == (7, True)
    environment.setenv("REALTIME_ENDPOINT", hub.api.endpoint)


def test_an_event_without_a_body_is_no_fault() -> None:
    event = event_of("MESSAGE", "nobody=")
    assert on_message.handler(event, None)["statusCode"] == 200


def test_faults_of_the_gateway_do_not_keep_a_client_from_its_answer(
    hub: HubFunctions, app: ClientEnd
) -> None:
    fault: Fault = 503
    hub.api.choose_fault = lambda _method, _id: fault
    (close,) = app.records(HANDSHAKE)
    assert close["allowReconnect"] is False
