"""Calls the functions of the WebSocket API the way API Gateway does, and hears what they send.

with open_hub(live_database, environment) as hub:
    line = hub.connect(person)                  # as $connect; a session of theirs begins
    assert line.send('{"action":"ping"}') == '{"type":"pong"}'
    line.shake_hands()
    assert line.call("GetConnectionId") == {"result": line.id}
"""

import itertools
import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from fieldgate.db.engine import Database
from fieldgate.db.tables.realtime import realtime_connections
from realtime import on_connect, on_disconnect, on_message
from realtime.connections_api import connections_api
from tests.support.connections_api import (
    ACCESS_KEY,
    REGION,
    SECRET_KEY,
    TOKEN,
    LoopbackApi,
    run_connections_api,
)
from tests.support.people import Person, begin_session

HANDSHAKE = '{"protocol":"json","version":1}\x1e'
PING = '{"type":6}\x1e'
# Whose connections there are in most tests.
GROWER = Person("", None)
HOUR = timedelta(hours=1)
MAX_BYTES = 32 * 1024
_numbers = itertools.count(1)


def event_of(
    kind: str,
    connection_id: str,
    *,
    body: str | None = None,
    authorizer: Mapping[str, str] | None = None,
    is_binary: bool = False,
) -> dict[str, Any]:
    """Return the event of a CONNECT, MESSAGE or DISCONNECT."""
    routes = {"CONNECT": "$connect", "MESSAGE": "$default", "DISCONNECT": "$disconnect"}
    context: dict[str, Any] = {
        "routeKey": routes[kind],
        "eventType": kind,
        "extendedRequestId": "JKJaXmPLvHcESHA=",
        "requestTime": "10/Jan/2026:10:00:00 +0000",
        "messageDirection": "IN",
        "stage": "live",
        "connectedAt": 1768039200000,
        "requestTimeEpoch": 1768039200000,
        "identity": {"sourceIp": "192.0.2.10", "userAgent": "Dart/3.9 (dart:io)"},
        "requestId": uuid.uuid4().hex[:16],
        "domainName": "w1x2y3z4.execute-api.af-south-1.amazonaws.com",
        "connectionId": connection_id,
        "apiId": "w1x2y3z4",
    }
    if authorizer is not None:
        context["authorizer"] = {**authorizer, "principalId": "?", "integrationLatency": 7}
    event: dict[str, Any] = {"requestContext": context, "isBase64Encoded": is_binary}
    if body is not None:
        event["body"] = body
    if kind == "CONNECT":
        event |= {"headers": {"Host": context["domainName"]}, "multiValueHeaders": {}}
    return event


def claims_of(user_id: UUID, session_id: UUID, lifetime: timedelta = HOUR) -> dict[str, str]:
    """Return what the authorizer says of a good token."""
    expires_at = datetime.now(UTC) + lifetime
    return {
        "sub": str(user_id),
        "sid": str(session_id),
        "exp": str(int(expires_at.timestamp())),
    }


@dataclass
class HubFunctions:
    database: Database
    api: LoopbackApi

    def connect(self, person: Person, session_id: UUID | None = None) -> "ClientEnd":
        """Connect `person`, in a session that begins now unless one is told."""
        session_id = session_id or begin_session(self.database, person).session_id
        line = ClientEnd(self, f"C{next(_numbers)}=", session_id)
        assert line.open(person.id) == 200
        return line


@dataclass
class ClientEnd:
    """One connection, from the client's side."""

    hub: HubFunctions
    id: str
    session_id: UUID

    def open(self, user_id: UUID, lifetime: timedelta = HOUR) -> int:
        """Connect; return the status of the handshake."""
        claims = claims_of(user_id, self.session_id, lifetime)
        answer = on_connect.handler(event_of("CONNECT", self.id, authorizer=claims), None)
        status: int = answer["statusCode"]
        if status == 200:
            self.hub.api.connect(self.id)
        return status

    def close(self) -> None:
        self.hub.api.disconnect(self.id)
        assert on_disconnect.handler(event_of("DISCONNECT", self.id), None) == {"statusCode": 200}

    def send(self, body: str, *, is_binary: bool = False) -> str:
        """Send a frame; return what comes back as the answer to it, empty for nothing."""
        event = event_of("MESSAGE", self.id, body=body, is_binary=is_binary)
        answer = json.loads(json.dumps(on_message.handler(json.loads(json.dumps(event)), None)))
        assert answer["statusCode"] == 200
        assert answer.keys() <= {"statusCode", "body"}
        text: str = answer.get("body", "")
        assert text or "body" not in answer
        assert len(text.encode()) <= MAX_BYTES
        return text

    def ask(self, action: str, **content: Any) -> dict[str, Any]:
        """Send a request in plain JSON; return the answer."""
        answer: dict[str, Any] = json.loads(self.send(json.dumps({"action": action, **content})))
        return answer

    def records(self, body: str) -> list[dict[str, Any]]:
        """Send a frame of SignalR; return the records of the answer."""
        return records_of(self.send(body))

    def call(self, target: str, *arguments: Any) -> dict[str, Any]:
        """Call a SignalR method; return `result` or `error` of its completion."""
        (answer,) = self.records(invocation(target, *arguments))
        assert answer.pop("type") == 3
        assert answer.pop("invocationId") == "1"
        return answer

    def shake_hands(self) -> None:
        """Make the handshake of SignalR."""
        (refetch,) = self.records(HANDSHAKE)
        assert refetch["target"] == "DataChanged"
        assert self.heard == ["{}\x1e"]
        self.hub.api.frames[self.id].clear()

    @property
    def heard(self) -> list[str]:
        """What was sent to it, the answers to its frames aside."""
        return [frame.decode() for frame in self.hub.api.frames[self.id]]

    @property
    def is_closed(self) -> bool:
        """Whether the server closed the connection and forgot it."""
        return self.id in self.hub.api.deleted and self.row is None

    @property
    def row(self) -> dict[str, Any] | None:
        statement = select(realtime_connections).where(realtime_connections.c.id == self.id)
        found = self.hub.database.read(
            lambda connection: connection.execute(statement).mappings().one_or_none()
        )
        return dict(found) if found else None


def invocation(target: str, *arguments: Any, invocation_id: str | None = "1") -> str:
    content = {"type": 1, "target": target, "arguments": list(arguments)}
    if invocation_id is not None:
        content["invocationId"] = invocation_id
    return json.dumps(content) + "\x1e"


def records_of(frame: str) -> list[dict[str, Any]]:
    *records, rest = frame.split("\x1e")
    assert rest == "", "every frame of SignalR ends in 0x1e"
    return [json.loads(record) for record in records]


@contextmanager
def open_hub(database: Database, environment: pytest.MonkeyPatch) -> Iterator[HubFunctions]:
    """Serve @connections to the functions until the block is left."""
    with run_connections_api() as api:
        environment.setenv("REALTIME_ENDPOINT", api.endpoint)
        environment.setenv("AWS_DEFAULT_REGION", REGION)
        environment.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        environment.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        environment.setenv("AWS_SESSION_TOKEN", TOKEN)
        try:
            yield HubFunctions(database, api)
        finally:
            connections_api().hang_up()


def is_refused_for_good(line: ClientEnd, sentence: str) -> bool:
    """Say whether the connection was ended with this sentence, and is not to come back."""
    (last,) = records_of("".join(line.heard))
    assert last == {"type": 7, "allowReconnect": False, "error": last["error"]}
    assert sentence in last["error"]
    return line.is_closed
