"""How connections, the stream and the change log's news find their rows."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, text

from configuration import store as configuration_store
from fieldgate.db.engine import Database
from health import relay_store
from realtime import (
    broadcast_store,
    connection_store,
    fan_out_store,
    renewal_store,
    stream_store,
    sweep_store,
)
from realtime.audiences import Viewer, channels_of, role, user
from realtime.connection_store import NewConnection
from realtime.events import NewEvent
from realtime.relaying import BATCH
from realtime.sweeping import ASKED_AT_ONCE
from realtime.sweeping import ROWS as SWEPT
from tests.support.hot_queries import Hot, faults
from tests.support.million import ROWS, person, session

# Ten times what the service is laid out for. One in ten follows something. A hundred are owed
# events, and one in ten thousand is over.
CONNECTIONS = f"""
    INSERT INTO realtime_connections (id, user_id, session_id, token_expires_at, dialect, channels,
        connected_at, ready_at, sent_offset, wanted_offset)
    SELECT 'C' || lpad(CAST(n AS text), 11, '0'), person(mod(n, 500000)), session(n),
        now() + CASE WHEN mod(n, 10000) = 3 THEN interval '-1 minute' ELSE interval '1 hour' END,
        'json', CASE WHEN mod(n, 10) = 1
            THEN ARRAY['shipments:' || n, 'topic-' || mod(n, 1000)] ELSE '{{}}' END,
        now() - n * interval '7 milliseconds', now(), 1000000,
        CASE WHEN mod(n, 10000) = 5 THEN 1000001 ELSE 1000000 END
    FROM generate_series(0, {ROWS - 1}) AS n"""
# Everybody is signed in on two phones.
SIGNED_IN = f"""
    INSERT INTO sessions (id, user_id, profile, current_hash, expires_at)
    SELECT session(n), person(mod(n, 500000)), 'mobile', '', now() + interval '1 day'
    FROM generate_series(0, {ROWS - 1}) AS n"""
# Of the stream no more are kept than ten thousand and what a minute brings; of broadcasts, a day's.
EVENTS = (
    f"""INSERT INTO realtime_events (event_offset, kind, entity_type, entity_id, action, audiences,
        at, dispatched_at)
    SELECT n + 1, 'changed', 'media', CAST(made(n, at) AS text), 'updated',
        ARRAY['user:' || person(whose(n)), 'channel:media'], at, at
    FROM generate_series({ROWS} - 11000, {ROWS - 1}) AS n,
        LATERAL (SELECT at(n, 1, now()) AS at) AS made""",
    f"UPDATE realtime_stream SET head = {ROWS}, trimmed = {ROWS} - 11000",
    f"""INSERT INTO realtime_broadcasts (id, entity_type, entity_id, action, audiences, created_by,
        created_at)
    SELECT made(n, at), 'prices', CAST(n AS text), 'updated', '{{all}}', person(0), at
    FROM generate_series(0, {ROWS - 1}, 100) AS n,
        LATERAL (SELECT at(n, 1, now()) AS at) AS made""",
)
# The log is of years, the outbox of a day; the last hundred changes nobody was told of yet.
LOG = (
    f"""INSERT INTO change_log (id, entity, entity_id, action, actor, before, after, changed, at)
        OVERRIDING SYSTEM VALUE
    SELECT n + 1, CASE WHEN mod(n, 10000) = 3 THEN 'configuration' ELSE 'media' END,
        CASE WHEN mod(n, 10000) = 3 THEN 'IMAGE_MAX_WIDTH' ELSE CAST(made(n, at) AS text) END,
        'update', 'somebody', '{{"version": 1}}',
        jsonb_build_object('version', n / 10000, 'value', 5, 'active', true, 'owner_id',
            person(whose(n)), 'state', 'ready'),
        '{{state}}', at
    FROM generate_series(0, {ROWS - 1}) AS n, LATERAL (SELECT at(n, 700, now()) AS at) AS made""",
    f"""INSERT INTO outbox (id, change_id, entity, entity_id, action, created_at, dispatched_at)
        OVERRIDING SYSTEM VALUE
    SELECT n + 1, n + 1, 'media', CAST(n AS text), 'update', at,
        CASE WHEN n < {ROWS} - 100 THEN at END
    FROM generate_series(0, {ROWS - 1}) AS n, LATERAL (SELECT at(n, 1, now()) AS at) AS made""",
)
TABLES = (SIGNED_IN, CONNECTIONS, *EVENTS, *LOG)

ME = "C00000000007"
SOME = [f"C{number * 10_000 + 5:011}" for number in range(50)]
VIEWER = Viewer(person(7), ["farmer"], frozenset({"media:read"}), ["topic-7"])
EVENT = NewEvent("changed", "media", "7", "updated", (user(person(7)),), datetime.now(UTC))
# What a relay's batch of changes is told to: owners, and who follows the topic or the thing.
TOLD = {
    name
    for number in range(BATCH)
    for name in (user(person(number)), *channels_of("shipments", str(number)))
}
EACH: Any = {"most_rows": ROWS, "whole": True, "why": "once a minute each is looked at"}


def new(number: int) -> NewConnection:
    expires = datetime.now(UTC) + timedelta(hours=1)
    return NewConnection("new", person(number), session(number), expires)


def add_and_begin(connection: Connection) -> None:
    assert connection_store.add(connection, new(7)) == "added"
    assert connection_store.begin_handshake(connection, "new")
    assert connection_store.make_ready(connection, "new", "signalr")


def claimed(
    use: Callable[[Connection, fan_out_store.Claim], object],
) -> Callable[[Connection], object]:
    def run(connection: Connection) -> object:
        found = fan_out_store.claim(connection, SOME)
        assert found is not None
        return use(connection, found)

    return run


def release(connection: Connection, claim: fan_out_store.Claim) -> None:
    sent = {mailbox.id: mailbox.wanted for mailbox in claim.mailboxes}
    fan_out_store.release(connection, claim, sent, {})


def relay(connection: Connection) -> None:
    head = stream_store.lock(connection)
    taken = stream_store.take(connection, BATCH)
    assert len(taken) == 100
    stream_store.mark_dispatched(connection, [row.outbox_id for row in taken])
    stream_store.append(connection, head, [EVENT] * len(taken))


def replay(connection: Connection, back: int) -> None:
    stream = text("SELECT epoch, head FROM realtime_stream")
    epoch, head = connection.execute(stream).one()
    assert stream_store.events_after(connection, VIEWER, epoch, head - back, 100).recovered


QUERIES: dict[str, Hot] = {
    "realtime.connection_store.add": Hot(add_and_begin),
    "realtime.connection_store.begin_handshake": Hot(add_and_begin),
    "realtime.connection_store.make_ready": Hot(add_and_begin),
    "realtime.connection_store.find": Hot(lambda c: connection_store.find(c, ME)),
    "realtime.connection_store.follow": Hot(lambda c: connection_store.follow(c, ME, ["prices"])),
    "realtime.connection_store.unfollow": Hot(
        lambda c: connection_store.unfollow(c, ME, ["prices"])
    ),
    "realtime.connection_store.drop": Hot(lambda c: connection_store.drop(c, SOME)),
    "realtime.fan_out_store.claim": Hot(claimed(lambda _c, _claim: None)),
    "realtime.fan_out_store.is_held_for_long": Hot(
        lambda c: fan_out_store.is_held_for_long(c, SOME)
    ),
    "realtime.fan_out_store.release": Hot(claimed(release)),
    "realtime.fan_out_store.find_closing": Hot(lambda c: fan_out_store.find_closing(c, SOME)),
    "realtime.stream_store.lock": Hot(relay),
    "realtime.stream_store.take": Hot(relay),
    "realtime.stream_store.mark_dispatched": Hot(relay),
    "realtime.stream_store.append": Hot(relay),
    "realtime.stream_store.want": Hot(
        lambda c: stream_store.want(c, TOLD, ROWS - 1, ROWS),
        most_rows=10_000,
        why="finds, locks and changes the two connections of each of a thousand owners",
    ),
    "realtime.stream_store.want, a rare role": Hot(
        lambda c: stream_store.want(c, {role("admin")}, ROWS - 1, ROWS)
    ),
    "realtime.stream_store.connections_of": Hot(
        lambda c: stream_store.connections_of(c, [str(session(n)) for n in range(100)])
    ),
    "realtime.stream_store.events_after": Hot(partial(replay, back=500)),
    "realtime.stream_store.events_after, of all there is": Hot(
        partial(replay, back=11_000), most_rows=11_000, why="no more are kept, whoever asks"
    ),
    "realtime.stream_store.stretch": Hot(lambda c: stream_store.stretch(c, ROWS - 500, ROWS, 1000)),
    "realtime.renewal_store.marks": Hot(lambda c: renewal_store.marks(c, ["configuration"])),
    "realtime.broadcast_store.add": Hot(
        lambda c: broadcast_store.add(c, "prices", "7", "updated", {"all"}, person(0))
    ),
    "realtime.sweep_store.unsent": Hot(lambda c: sweep_store.unsent(c, "", ASKED_AT_ONCE), **EACH),
    "realtime.sweep_store.over": Hot(lambda c: sweep_store.over(c, "", ASKED_AT_ONCE), **EACH),
    "realtime.sweep_store.forget_connections": Hot(
        lambda c: sweep_store.forget_connections(c, SWEPT)
    ),
    "realtime.sweep_store.connected": Hot(sweep_store.connected, **EACH),
    "realtime.sweep_store.trim": Hot(lambda c: sweep_store.trim(c, SWEPT)),
    "realtime.sweep_store.forget_broadcasts": Hot(
        lambda c: sweep_store.forget_broadcasts(c, SWEPT)
    ),
    "realtime.sweep_store.forget_announced": Hot(lambda c: sweep_store.forget_announced(c, SWEPT)),
    "health.relay_store.is_late": Hot(relay_store.is_late),
    "configuration.store.find_all": Hot(configuration_store.find_all),
    "configuration.store.find": Hot(lambda c: configuration_store.find(c, "IMAGE_MAX_WIDTH")),
    "configuration.store.find_past": Hot(
        lambda c: configuration_store.find_past(c, "IMAGE_MAX_WIDTH", 7)
    ),
    "configuration.store.find_page": Hot(
        lambda c: configuration_store.find_page(c, "IMAGE_MAX_WIDTH", limit=20, offset=0)
    ),
    "configuration.store.put": Hot(
        lambda c: configuration_store.put(c, "IMAGE_MAX_WIDTH", 500, active=True)
    ),
}


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_finds_its_rows_among_a_million(full: Database, name: str) -> None:
    assert faults(full, QUERIES[name]) == []
