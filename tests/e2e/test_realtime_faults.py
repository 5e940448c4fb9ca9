"""Attacks, faults and bad luck on the whole stack: what realtime makes of them."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest
from websockets.exceptions import InvalidStatus

from tests.conftest import run_sql
from tests.e2e.conftest import Stack, bearer, wait_for
from tests.support.forged_tokens import forger
from tests.support.hub import HANDSHAKE, HUB, SEPARATOR, Plain, closed, plain, records, socket

# Two windows' worth of what a connection may send in one.
FLOOD, AHEAD = 700, 50
STARTS, STARTED_AT_ONCE = 80, 4


@pytest.fixture
def admin(stack: Stack) -> Iterator[httpx.Client]:
    with stack.phone("admin") as client:
        yield client


def announce(admin: httpx.Client, entity_id: str, key: str | None = None) -> httpx.Response:
    body = {"entityType": "shipments", "entityId": entity_id, "action": "moved"}
    headers = {"Idempotency-Key": key} if key else {}
    return admin.post("/api/v1/realtime/broadcast", json=body, headers=headers)


def is_refused(stack: Stack, token: str | None, query: str = "") -> bool:
    """Say whether the handshake ends with 403, and nothing else."""
    try:
        with socket(stack.url, token, query):
            status = 101
    except InvalidStatus as refusal:
        status = refusal.response.status_code
    assert status in {101, 403}
    return status == 403


def test_only_one_good_token_opens_a_connection(stack: Stack, agent: httpx.Client) -> None:
    token = bearer(agent)
    claims = jwt.decode(token, options={"verify_signature": False})
    secret = stack.client("secretsmanager").get_secret_value(SecretId="fieldgate/signing-key")
    two_hours_ago = datetime.now(UTC) - timedelta(hours=2)
    times = ("iat", "nbf", "exp")
    kept = {name: value for name, value in claims.items() if name not in times}
    expired = forger(secret["SecretString"], two_hours_ago)(**kept)
    with stack.phone("agent") as other:
        another = bearer(other)
    stack.tokens.append(expired)

    assert is_refused(stack, None)
    assert is_refused(stack, expired)
    assert is_refused(stack, None, f"?access_token={expired}")
    assert is_refused(stack, f"{token[:-8]}AAAAAAAA")
    assert is_refused(stack, token, f"?access_token={another}")
    assert is_refused(stack, None, f"?access_token={token}&access_token={another}")

    assert not is_refused(stack, token)
    assert not is_refused(stack, None, f"?access_token={token}")
    assert not is_refused(stack, token, f"?id=negotiated&access_token={token}")
    plain_request = httpx.get(stack.url + HUB, params={"access_token": token})
    assert plain_request.status_code == 426


@pytest.mark.parametrize(
    "frame",
    [
        '{"type":1,"target":"GetConnectionId","arguments":[],"invocationId":"1"}\x1e',
        '{"protocol":"messagepack","version":1}\x1e',
        '{"protocol":"json","version":1}',
        "\x1e",
    ],
    ids=["call", "other protocol", "unfinished", "nothing"],
)
def test_without_a_handshake_there_is_no_conversation(
    stack: Stack, agent: httpx.Client, frame: str
) -> None:
    with socket(stack.url, bearer(agent)) as connection:
        connection.send(frame)
        (record,) = records(connection)
        assert record["error"]
        assert not record.get("allowReconnect")
        assert closed(connection) == 1000


def test_monstrous_frames_harm_nobody(stack: Stack, agent: httpx.Client) -> None:
    token = bearer(agent)
    before = stack.function("realtime.on_message")
    deep = "[" * 10_000 + "]" * 10_000
    with plain(stack.url, token) as bystander:
        with plain(stack.url, token) as hub:
            for body in (deep, f'{{"action":"subscribe","channels":{deep}}}', "null", "\ud7ff"):
                hub.connection.send(body)
                assert hub.next("error")["code"] == "VALIDATION_ERROR"
            hub.connection.send("x" * 1_000_000)
            assert hub.closed() == 1009
        with socket(stack.url, token) as connection:
            connection.send(HANDSHAKE)
            assert records(connection)[0] == {}
            connection.send(f'{{"type":1,"target":"Subscribe","arguments":{deep}}}\x1e')
            assert closed(connection) == 1000
        bystander.send({"action": "ping"})
        assert bystander.receive() == {"type": "pong"}
    after = stack.function("realtime.on_message")
    assert after["invocations"] > before["invocations"]
    assert after["errors"] == before["errors"]


def test_who_asks_too_much_is_told_so_and_keeps_nobody_up(
    stack: Stack, agent: httpx.Client, admin: httpx.Client
) -> None:
    with plain(stack.url, bearer(agent)) as hub, plain(stack.url, bearer(admin)) as bystander:
        for _ in range(100):
            hub.send({"action": "getConnectionId"})
        bystander.send({"action": "ping"})
        assert bystander.receive() == {"type": "pong"}
        answers = [hub.receive() for _ in range(100)]
    kinds = [answer["type"] for answer in answers]
    assert kinds.count("connectionId") >= 50
    assert kinds.count("error") >= 10
    assert {answer["code"] for answer in answers if "code" in answer} == {"RATE_LIMITED"}


def test_a_client_that_floods_is_put_out(stack: Stack, agent: httpx.Client) -> None:
    with plain(stack.url, bearer(agent)) as hub:
        for _ in range(AHEAD):
            hub.send({"action": "ping"})
        while (said := hub.receive())["type"] != "close":
            assert len(hub.seen) < FLOOD
            hub.send({"action": "ping"})
        assert said == {"type": "close", "reason": "too_many_frames", "reconnect": False}
        assert hub.closed() == 1000


def test_news_that_race_the_handshake_fail_no_start(
    stack: Stack, agent: httpx.Client, admin: httpx.Client
) -> None:
    token = bearer(agent)

    def start(_: int) -> list[dict[str, Any]]:
        """Start as SignalR's clients do; return the offsets of what came until the next news."""
        with socket(stack.url, token) as connection:
            connection.send(HANDSHAKE)
            told = records(connection)
            assert told.pop(0) == {}, told
            while True:
                changes = [record["arguments"][0] for record in told if record["type"] == 1]
                if any(change["action"] != "refetch" for change in changes):
                    return changes
                told += records(connection)

    with announcing(stack) as _, ThreadPoolExecutor(STARTED_AT_ONCE) as threads:
        started = list(threads.map(start, range(STARTS)))
    for changes in started:
        assert [change["action"] for change in changes].count("refetch") == 1
        # The refetch is for all that came before, wherever it stands among what comes after.
        (start_at,) = [c["offset"] for c in changes if c["action"] == "refetch"]
        offsets = [change["offset"] for change in changes if change["action"] != "refetch"]
        assert offsets == sorted(set(offsets))
        assert offsets[0] > start_at


@contextmanager
def announcing(stack: Stack) -> Iterator[list[str]]:
    """Announce all the while, what fails again until it is taken; yields what was announced."""
    done, announced = threading.Event(), list[str]()

    def go_on() -> None:
        # In turns: what one may announce in a minute is soon used up.
        for n in range(10_000):
            entity_id, key = f"storm-{uuid4().hex[:8]}-{n}", str(uuid4())
            while (answer := announce(admins[n % len(admins)], entity_id, key)).status_code != 202:
                assert answer.status_code in {429, 500, 503}, answer.text
                if done.wait(0.1):
                    return
            announced.append(entity_id)
            if done.wait(0.02):
                return

    with ExitStack() as admins_in, ThreadPoolExecutor(1) as threads:
        admins = [admins_in.enter_context(stack.phone("admin")) for _ in range(4)]
        working = threads.submit(go_on)
        try:
            yield announced
        finally:
            done.set()
        working.result()


def test_the_connection_of_a_session_that_ended_is_closed(
    stack: Stack, agent: httpx.Client
) -> None:
    with plain(stack.url, bearer(agent)) as hub:
        assert agent.post("/api/v1/auth/logout").status_code == 204
        assert_put_out(stack, hub, session_of(agent))


def test_the_sweep_closes_the_connection_of_a_session_that_ended_without_a_word(
    stack: Stack, agent: httpx.Client
) -> None:
    session = session_of(agent)
    ended = "ended_at = now(), end_reason = 'logged_out'"
    with plain(stack.url, bearer(agent)) as hub:
        # Past the functions, who would have woken the relay.
        run_sql(stack.address("database"), f"UPDATE sessions SET {ended} WHERE id = '{session}'")
        # That it runs each minute, tests/architecture/test_realtime_template.py sees to.
        stack.run_schedule("SweepConnectionsSchedule")
        assert_put_out(stack, hub, session)


def session_of(phone: httpx.Client) -> str:
    return str(jwt.decode(bearer(phone), options={"verify_signature": False})["sid"])


def assert_put_out(stack: Stack, hub: Plain, session: str) -> None:
    assert hub.closed() == 1000
    assert hub.seen[-1] == {"type": "close", "reason": "session_ended", "reconnect": True}
    rows = f"SELECT count(*) FROM realtime_connections WHERE session_id = '{session}'"
    wait_for(lambda: run_sql(stack.address("database"), rows) == [(0,)])


@pytest.mark.parametrize("how", ["down", "hang", "restarted"])
def test_what_was_announced_while_the_database_failed_arrives_once_and_in_order(
    stack: Stack, agent: httpx.Client, admin: httpx.Client, how: str
) -> None:
    with ExitStack() as connected:
        hubs = [connected.enter_context(plain(stack.url, bearer(agent))) for _ in range(10)]
        with announcing(stack) as announced:
            wait_for(lambda: len(announced) > 5)
            with failing_database(stack, how):
                before = len(announced)
                wait_for(lambda: not healthy(stack))
                for hub in hubs[:3]:
                    hub.send({"action": "ping"})
                    hub.next("pong")
            wait_for(lambda: len(announced) > before + 5)
        do_what_the_next_minute_brings(stack)
        for hub in hubs:
            while (missing := set(announced) - set(told(hub))) and hub.receive():
                pass
            assert not missing
            assert [one for one in told(hub) if one in set(announced)] == announced


def do_what_the_next_minute_brings(stack: Stack) -> None:
    """Take up what failed runs left, mailboxes under their lease among it."""
    address = stack.address("database")
    left = "SELECT count(*) FROM outbox WHERE dispatched_at IS NULL"
    stack.run_schedule("RelayChangesSchedule")
    wait_for(lambda: run_sql(address, left) == [(0,)])
    run_sql(address, "UPDATE realtime_connections SET leased_until = NULL")
    stack.run_schedule("SweepConnectionsSchedule")


@contextmanager
def failing_database(stack: Stack, how: str) -> Iterator[None]:
    if how == "restarted":
        with stack.without_database():
            yield
        return
    stack.break_("database", how, 60)
    yield
    stack.break_("database", how, 0)


def told(hub: Plain) -> list[str]:
    """Return the ids that a client was told of, by offset, what came twice once."""
    events = {seen["offset"]: seen for seen in hub.seen if seen["type"] == "update"}
    assert list(events) == sorted(events)
    return [event["data"].get("entityId", "") for event in events.values()]


def healthy(stack: Stack) -> bool:
    return httpx.get(f"{stack.url}/health/realtime", timeout=30).status_code == 200


def test_no_log_has_a_token(stack: Stack, agent: httpx.Client) -> None:
    with socket(stack.url, None, f"?access_token={bearer(agent)}") as connection:
        connection.send(HANDSHAKE)
        assert records(connection)[0] == {}
        # As pysignalr sends with each call.
        call = {"type": 1, "target": "Nothing", "arguments": [], "invocationId": "1"}
        headers = {"headers": {"Authorization": f"Bearer {bearer(agent)}"}}
        connection.send(json.dumps(call | headers) + SEPARATOR)
        wait_for(lambda: any("error" in record for record in records(connection)))
    logs = [stack.settings.data / "functions.log", stack.settings.data / "cloud.log", stack.log]
    for log in logs:
        text = log.read_text(errors="replace")
        assert text
        found = {token for token in stack.tokens if token.rpartition(".")[2] in text}
        assert not found, log
        assert "access_token" not in text
