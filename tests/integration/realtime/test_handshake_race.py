"""Announcements and handshakes at the same moment: nobody hears too early, nobody too little."""

import threading
from collections.abc import Sequence
from contextlib import closing

from sqlalchemy import func, insert

from fieldgate.db.engine import Database
from fieldgate.db.tables.all import realtime_connections
from fieldgate.db.url import parse_url
from realtime.fan_out_queue import Task
from realtime.relaying import relay
from tests.support.people import begin_session
from tests.support.stream import HOUR, Stream
from tests.support.websocket import (
    GROWER,
    HANDSHAKE,
    ClientEnd,
    HubFunctions,
)

HANDSHAKES = 500


def connect_all(hub: HubFunctions) -> list[ClientEnd]:
    session_id = begin_session(hub.database, GROWER).session_id
    lines = [ClientEnd(hub, f"R{number}=", session_id) for number in range(HANDSHAKES)]
    of_all = {"user_id": GROWER.id, "session_id": session_id}
    rows = [of_all | {"id": line.id, "token_expires_at": func.now() + HOUR} for line in lines]
    statement = insert(realtime_connections).values(rows)
    hub.database.transact(lambda connection: connection.execute(statement))
    hub.api.connect(*[line.id for line in lines])
    return lines


def test_no_handshake_is_disturbed_and_no_event_lost_in_500_races(
    hub: HubFunctions, database_url: str
) -> None:
    lines = connect_all(hub)
    answered: set[str] = set()
    hub.api.on_taken = lambda connection_id, _frame: answered.add(connection_id)
    over = threading.Event()
    told: list[frozenset[str]] = []  # who was owed the event of that offset
    too_early: set[str] = set()

    def announce() -> None:
        with closing(Database(lambda: parse_url(database_url, "the test"))) as database:
            stream = Stream(database)

            def ask_for(_task: Task, connections: Sequence[str]) -> None:
                too_early.update(set(connections) - answered)
                woken.update(connections)

            while not over.is_set():
                woken: set[str] = set()
                stream.broadcast(GROWER.id)
                assert relay(database, ask_for) == 1
                told.append(frozenset(woken))

    thread = threading.Thread(target=announce, name="relay")
    thread.start()
    try:
        for line in lines:
            assert '"action":"refetch"' in line.send(HANDSHAKE)
    finally:
        over.set()
        thread.join()

    assert not too_early
    assert len(told) > HANDSHAKES / 20, "they met"
    assert hub.api.frames == {line.id: [b"{}\x1e"] for line in lines}
    for line_id, row in Stream(hub.database).connections().items():
        ready_at = row["sent_offset"]
        assert [line_id in woken for woken in told] == [
            offset > ready_at for offset in range(1, len(told) + 1)
        ]
        assert row["wanted_offset"] == max(ready_at, len(told))
